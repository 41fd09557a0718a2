"""Graphs with an input for each column, as skl2onnx makes of a data frame: the columns, up to the value that joins them.

Columns are scaled and selected on their way, each by itself, perhaps in several branches, as a ColumnTransformer has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import expect
from .onnx_file import where
from .onnx_ml import DOMAIN, ML_MAKERS
from .onnx_operands import Constant, Operands
from .onnx_operators import MAKERS, check_cast
from .steps import Chain, Floats, Scale, Select, naming

if TYPE_CHECKING:
    import onnx

MOST_COLUMNS = 10_000
_SAME = frozenset({"Identity", "Cast"})
_JOIN = frozenset({"Concat", "FeatureVectorizer"})
_EACH = frozenset({"Scaler", "ArrayFeatureExtractor", "Add", "Sub", "Mul", "Div"})
_SPLIT = "its columns take several ways to a layer; only columns that are scaled and joined before it can be imported"


@dataclass(frozen=True, eq=False)
class _Columns:
    """``columns[places] * factor + offset``. ``scaled`` names the Scaler that did it, None if other nodes did something too."""

    places: NDArray[np.int64]
    factor: Floats
    offset: Floats
    scaled: str | None = ""


@dataclass
class Joined:
    """``chain`` begins with the ``names`` of all columns, and leads to the value ``tip``; ``taken`` are the nodes before it."""

    names: tuple[str, ...]
    chain: Chain
    tip: str
    taken: frozenset[int]


@dataclass
class _Walk:
    graph: onnx.GraphProto
    constants: Mapping[str, Constant]
    values: dict[str, _Columns]
    taken: set[int] = field(default_factory=set)
    tips: dict[str, None] = field(default_factory=dict)

    def take(self, number: int, node: onnx.NodeProto) -> None:
        given = [name for name in node.input if name in self.values]
        make = self._maker(node) if given else None
        if make is None:
            self.tips.update(dict.fromkeys(given))
            return
        here = where(number + 1, node, len(self.graph.node))
        with naming(here):
            self.values[node.output[0]] = make(node, given, here)
        self.taken.add(number)

    def _maker(self, node: onnx.NodeProto) -> Callable[[onnx.NodeProto, list[str], str], _Columns] | None:
        known = all(name in self.values or name in self.constants for name in node.input)
        if node.op_type in _SAME:
            return self._same
        if node.op_type in _JOIN and all(name in self.values for name in node.input):
            return self._join
        return self._each if node.op_type in _EACH and known else None

    def _same(self, node: onnx.NodeProto, given: list[str], here: str) -> _Columns:
        if node.op_type == "Cast":
            check_cast(Operands(node, here, (1,), given[0], 1, self.constants))
        return self.values[given[0]]

    def _join(self, node: onnx.NodeProto, given: list[str], here: str) -> _Columns:
        on = Operands(node, here, (1,), given[0], 1, self.constants)
        axis = on.attribute("axis", 1) if node.op_type == "Concat" else 1
        expect(axis in (1, -1), f"{here} joins rows, not columns, which cannot be imported")
        parts = [self.values[name] for name in node.input]
        count = sum(len(each.places) for each in parts)
        expect(count <= MOST_COLUMNS, f"{here} makes {count} columns, over {MOST_COLUMNS:,}; give fewer")
        places, factor, offset = (
            np.concatenate([getattr(each, name) for each in parts]) for name in ("places", "factor", "offset")
        )
        scalers = {each.scaled for each in parts}
        plain = None not in scalers and ("" not in scalers or len(scalers) == 1)
        return _Columns(places, factor, offset, max(filter(None, scalers), default="") if plain else None)

    def _each(self, node: onnx.NodeProto, given: list[str], here: str) -> _Columns:
        found = self.values[given[0]]
        on = Operands(node, here, (len(found.places),), given[0], 1, self.constants)
        for step in (ML_MAKERS if node.domain == DOMAIN else MAKERS)[node.op_type](on):
            step.output_shape(on.shape)
            if isinstance(step, Select):
                at = step.places
                expect(len(at) <= MOST_COLUMNS, f"{here} makes {len(at)} columns, over {MOST_COLUMNS:,}; give fewer")
                found = replace(found, places=found.places[at], factor=found.factor[at], offset=found.offset[at])
            elif isinstance(step, Scale):
                scaled = here if node.op_type == "Scaler" and found.scaled == "" else None
                factor, offset = found.factor * step.factor, found.offset * step.factor + step.offset
                found = replace(found, factor=factor, offset=offset, scaled=scaled)
        return found


def join(graph: onnx.GraphProto, inputs: Sequence[onnx.ValueInfoProto], constants: Mapping[str, Constant]) -> Joined:
    """The columns of ``inputs``, each [n, columns]. Raises :class:`ModelError` where they are not joined before a layer."""
    names: list[str] = []
    values: dict[str, _Columns] = {}
    for given in inputs:
        count = _columns(given)
        places = np.arange(len(names), len(names) + count)
        names += [given.name] if count == 1 else [f"{given.name}{place}" for place in range(count)]
        expect(len(names) <= MOST_COLUMNS, f"takes over {MOST_COLUMNS:,} columns; give fewer")
        values[given.name] = _Columns(places, np.ones(count), np.zeros(count))
    walk = _Walk(graph, constants, values)
    for number, node in enumerate(graph.node):
        walk.take(number, node)
    if len(walk.tips) != 1:
        raise ModelError(f"has {len(inputs)} inputs, and {_SPLIT}")
    (tip,) = walk.tips
    chain = Chain((len(names),), tabular=True)
    found = walk.values[tip]
    if not np.array_equal(found.places, np.arange(len(names))):
        chain.append(Select("the selection of columns", found.places))
    if found.scaled != "":
        chain.append(Scale(found.scaled or "the scaling of columns", found.factor, found.offset))
    return Joined(tuple(names), chain, tip, frozenset(walk.taken))


def _columns(given: onnx.ValueInfoProto) -> int:
    """How many columns an input has. Raises :class:`ModelError` for one that is not rows of numbers."""
    from onnx import TensorProto

    form = given.type.tensor_type
    kinds = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64)
    expect(form.elem_type in kinds, f"input {given.name!r} is of type {form.elem_type}; export float, double, int32 or int64")
    sizes = [size.dim_value for size in form.shape.dim]
    fits = len(sizes) == 2 and 0 < sizes[1] <= MOST_COLUMNS
    expect(fits, f"input {given.name!r} has sizes {sizes}, 0 for those not fixed; several inputs are [rows, columns]")
    return int(sizes[1])
