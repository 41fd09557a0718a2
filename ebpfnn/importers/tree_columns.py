"""What a graph does to single columns of its input before trees compare them: the very operations, in the very types.

Each never falls, or never rises, so that a comparison of its result is one of the column's value (:mod:`.tree_bounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import expect
from .onnx_operands import Operands

if TYPE_CHECKING:
    import onnx

Numbers = NDArray[Any]
Operation = Callable[[Numbers], Numbers]
MOST_COLUMNS = 1 << 16
"""The most columns of a value."""
_MOST_MADE, _MOST_STEPS = 1 << 20, 64
_KINDS = {"FLOAT": np.float32, "DOUBLE": np.float64, "INT32": np.int32, "INT64": np.int64}


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the rows that the graph takes, of type ``kind``, one of float32, float64, int32 and int64."""

    name: str
    kind: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class Made:
    """What ``operations`` make of the values of column number ``column``, one after the other, and the type of that."""

    column: int
    kind: np.dtype[Any]
    operations: tuple[Operation, ...] = ()

    def of(self, values: Numbers) -> Numbers:
        """The result for ``values`` of the column, which are of its type."""
        with np.errstate(all="ignore"):
            for operation in self.operations:
                values = operation(values)
        return values

    def then(self, operation: Operation, kind: Any = None) -> Made:
        return replace(self, operations=(*self.operations, operation), kind=np.dtype(kind or self.kind))


Row = tuple[Made, ...]
"""A value of the graph: a number a column, for each row."""


def begin(inputs: Sequence[onnx.ValueInfoProto]) -> tuple[tuple[Column, ...], dict[str, Row]]:
    """The columns of all ``inputs``, one input after the other, and what each input is.

    Raises :class:`ModelError` for an input that is not rows of numbers.
    """
    from onnx import TensorProto

    known = {getattr(TensorProto, name): np.dtype(kind) for name, kind in _KINDS.items()}
    columns: list[Column] = []
    values: dict[str, Row] = {}
    for given in inputs:
        form = given.type.tensor_type
        kind = known.get(form.elem_type)
        if kind is None:
            raise ModelError(
                f"input {given.name!r} is of type {form.elem_type}; export trees over float, double, int32 or int64"
            )
        sizes = [size.dim_value for size in form.shape.dim]
        fits = len(sizes) == 2 and sizes[1] > 0
        expect(
            fits, f"input {given.name!r} has sizes {sizes}, 0 for those not fixed; trees take [rows, columns], columns fixed"
        )
        expect(len(columns) + sizes[1] <= MOST_COLUMNS, f"takes over {MOST_COLUMNS} columns; give fewer")
        one = len(inputs) > 1 and sizes[1] == 1
        names = [given.name] if one else [f"{'x' if len(inputs) == 1 else given.name}{place}" for place in range(sizes[1])]
        values[given.name] = tuple(Made(len(columns) + place, kind) for place in range(sizes[1]))
        columns += [Column(name, kind) for name in names]
    return tuple(columns), values


def check(on: Operands, row: Row, made: int) -> None:
    """Raises :class:`ModelError` where ``row``, which ``on`` gives, or all ``made`` so far are more than a pipeline has."""
    steps = max(len(each.operations) for each in row)
    expect(steps <= _MOST_STEPS, f"{on.where} is step {steps} of a column, over {_MOST_STEPS}; export a shorter pipeline")
    expect(made <= _MOST_MADE, f"{on.where} brings the columns to {made}, over {_MOST_MADE} in all; export a shorter pipeline")


def step(on: Operands, rows: Mapping[str, Row]) -> Row:
    """What the node of ``on`` gives. Raises :class:`ModelError`, naming it, for an operator that is not one of columns."""
    maker = _MAKERS.get(on.node.op_type)
    if maker is None:
        fact = _MIXING.get(on.node.op_type, "is no operation on single columns")
        remedy = "give rows that are prepared, or leave the step out of the pipeline and train again"
        raise ModelError(f"{on.where} {fact}, which cannot be imported before trees; {remedy}")
    return maker(on, rows)


def _first(on: Operands, rows: Mapping[str, Row]) -> Row:
    found = rows.get(on.node.input[0])
    if found is None:
        raise ModelError(f"{on.where} takes its columns after a constant, which cannot be imported; export it again")
    return found


def _spread(on: Operands, values: Any, row: Row) -> Numbers:
    """One finite number for each column of ``row``."""
    found = np.asarray(values).reshape(-1)
    expect(found.size in (1, len(row)), f"{on.where} has {found.size} numbers for {len(row)} columns; export it again")
    expect(bool(np.isfinite(found).all()), f"{on.where} has constants that are not finite numbers; train again")
    return np.broadcast_to(found, len(row))


def _scaler(on: Operands, rows: Mapping[str, Row]) -> Row:
    """(x - offset) * scale: onnxruntime computes it in float32, of doubles in float64, and rounds to float32."""
    row = _first(on, rows)
    offset, scale = (_spread(on, np.array(on.attribute(name, ()), np.float32), row) for name in ("offset", "scale"))
    expect(bool(scale.all()), f"{on.where} multiplies a column by 0; leave the column out and train again")

    def scaled(made: Made, by: np.float32, less: np.float32) -> Made:
        kind = np.dtype(np.float64 if made.kind == np.float64 else np.float32)
        return made.then(lambda x: ((x.astype(kind) - kind.type(less)) * kind.type(by)).astype(np.float32), np.float32)

    return tuple(map(scaled, row, scale, offset))


def _binarizer(on: Operands, rows: Mapping[str, Row]) -> Row:
    limit = np.float32(on.attribute("threshold", 0.0))
    expect(bool(np.isfinite(limit)), f"{on.where} has a threshold that is no finite number; train again")
    return tuple(made.then(lambda x: (x > limit).astype(x.dtype)) for made in _first(on, rows))


def _cast(on: Operands, rows: Mapping[str, Row]) -> Row:
    from onnx.helper import tensor_dtype_to_np_dtype

    to = np.dtype(tensor_dtype_to_np_dtype(on.attribute("to")))
    row = _first(on, rows)
    for made in row:
        keeps = to in (np.float32, np.float64) or (
            to.kind == "i" and made.kind.kind == "i" and to.itemsize >= made.kind.itemsize
        )
        expect(keeps, f"{on.where} casts {made.kind} to {to}, which cannot be imported before trees; cast to float32")
    return tuple(made if made.kind == to else made.then(lambda x: x.astype(to), to) for made in row)


def _clip(on: Operands, rows: Mapping[str, Row]) -> Row:
    low, high = on.attribute("min"), on.attribute("max")  # attributes before opset 11
    low, high = (on.scalar(1) if on.has(1) else low), (on.scalar(2) if on.has(2) else high)
    bad = any(each is not None and not np.isfinite(each) for each in (low, high))
    expect(not bad, f"{on.where} has limits that are not finite numbers; train again")

    def clipped(x: Numbers) -> Numbers:
        x = x if low is None else np.maximum(x, x.dtype.type(low))
        return x if high is None else np.minimum(x, x.dtype.type(high))

    return tuple(made.then(clipped) for made in _first(on, rows))


def _select(on: Operands, rows: Mapping[str, Row]) -> Row:
    row = _first(on, rows)
    if on.node.op_type == "Gather":
        expect(
            on.attribute("axis", 0) in (1, -1),
            f"{on.where} gathers rows, not columns, which cannot be imported; export it again",
        )
    places = on.array(1).reshape(-1)
    fits = (
        places.dtype.kind in "iu" and 0 < places.size <= MOST_COLUMNS and -len(row) <= places.min() <= places.max() < len(row)
    )
    expect(fits, f"{on.where} selects columns that the {len(row)} of its input do not have; export it again")
    return tuple(row[place] for place in places)


def _concat(on: Operands, rows: Mapping[str, Row]) -> Row:
    expect(on.attribute("axis") in (1, -1), f"{on.where} joins rows, not columns, which cannot be imported; export it again")
    expect(all(name in rows for name in on.node.input), f"{on.where} adds constant columns; leave them out and train again")
    found = tuple(made for name in on.node.input for made in rows[name])
    expect(len(found) <= MOST_COLUMNS, f"{on.where} makes {len(found)} columns, over {MOST_COLUMNS}; give fewer")
    return found


def _with(operation: Callable[[Numbers, Any], Numbers], name: str) -> Callable[[Operands, Mapping[str, Row]], Row]:
    """``x op c``, or ``c op x``, with one constant for all columns, or one for each, in the type of the columns."""

    def make(on: Operands, rows: Mapping[str, Row]) -> Row:
        turned = on.node.input[0] not in rows
        row = rows[on.node.input[1 if turned else 0]]
        array = on.array(0 if turned else 1)
        expect(
            array.ndim == 0 or array.shape[-1] == array.size, f"{on.where} has constants that differ by row; export it again"
        )
        by = _spread(on, array, row)
        expect(
            name in ("Add", "Sub") or bool(by.all()), f"{on.where} multiplies or divides a column by 0; leave the column out"
        )
        expect(
            not (turned and name == "Div"), f"{on.where} divides by its columns, which cannot be imported; train without that"
        )
        expect(all(made.kind.kind == "f" for made in row), f"{on.where} computes in integers; cast to float32 before it")

        def one(made: Made, constant: Any) -> Made:
            fixed = made.kind.type(constant)
            return made.then((lambda x: operation(np.full_like(x, fixed), x)) if turned else (lambda x: operation(x, fixed)))

        return tuple(map(one, row, by))

    return make


_MAKERS: dict[str, Callable[[Operands, Mapping[str, Row]], Row]] = {
    "Scaler": _scaler,
    "Binarizer": _binarizer,
    "Cast": _cast,
    "Clip": _clip,
    "ArrayFeatureExtractor": _select,
    "Gather": _select,
    "Concat": _concat,
    "Identity": _first,
    "Add": _with(np.add, "Add"),
    "Sub": _with(np.subtract, "Sub"),
    "Mul": _with(np.multiply, "Mul"),
    "Div": _with(np.divide, "Div"),
}
_MIXING = {
    "Imputer": "fills in missing values, and rows of a preparation have none",
    "Normalizer": "divides each row by its norm, so that columns mix",
    "MatMul": "mixes columns, as a PCA does",
    "Gemm": "mixes columns, as a PCA does",
    "OneHotEncoder": "compares for equality",
    "LabelEncoder": "compares for equality",
}
