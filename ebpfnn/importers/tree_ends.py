"""The end of a graph of trees: outputs that are a label or scores, made by nodes that change no label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..network.layers import expect
from .onnx_operands import Operands

if TYPE_CHECKING:
    import onnx

LABEL, SCORES = "label", "scores"
_SAME = frozenset({"Identity", "Cast", "Reshape", "Squeeze", "Flatten"})
_KEEP_ORDER = frozenset({"Softmax", "LogSoftmax", "Normalizer", "ZipMap"})
_FLOATS = (1, 11)  # FLOAT and DOUBLE of onnx.TensorProto
_REMEDY = "export label and probabilities as they come from the trees"


@dataclass
class Ends:
    """``names`` tells of values behind the trees whether they are a :data:`LABEL` or :data:`SCORES`.

    ``own_label`` is whether an output is the label that the trees themselves give, and ``classes`` is what an ArgMax selects
    of.
    """

    names: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    own_label: bool = False
    _chosen: set[str] = field(default_factory=set)
    """Labels that an ArgMax gives."""

    def begin(self, node: onnx.NodeProto, *, classifier: bool) -> None:
        """The outputs of the trees."""
        for name, what in zip(node.output, (LABEL, SCORES) if classifier else (SCORES,), strict=False):
            self.names[name] = what

    def take(self, on: Operands, texts: Mapping[str, tuple[str, ...]], *, classifier: bool) -> None:
        """A node that takes one of the values. Raises :class:`ModelError`, naming it, where it does more than pass it on."""
        kind, given = on.node.op_type, next(name for name in on.node.input if name in self.names)
        found = self._after(on, kind, given, texts, classifier=classifier)
        if found is None:
            raise ModelError(f"{on.where} computes with what the trees give, which cannot be imported; {_REMEDY}")
        self.names[on.node.output[0]] = found
        if given in self._chosen:
            self._chosen.add(on.node.output[0])

    def _after(
        self, on: Operands, kind: str, given: str, texts: Mapping[str, tuple[str, ...]], *, classifier: bool
    ) -> str | None:
        what = self.names[given]
        if what == SCORES:
            _check_keeps_order(on)
        if kind in _SAME:
            return what
        if what == SCORES and classifier and kind in _KEEP_ORDER:
            return SCORES
        if what == SCORES and classifier and kind == "ArgMax":
            expect(on.attribute("axis", 0) in (1, -1), f"{on.where} compares rows, not classes; {_REMEDY}")
            self._chosen.add(on.node.output[0])
            return LABEL
        if kind == "ArrayFeatureExtractor" and given in self._chosen and on.node.input[0] in texts:
            self.classes = texts[on.node.input[0]]
            return LABEL
        return None

    def check(self, outputs: list[str]) -> None:
        """Raises :class:`ModelError` for an output of the graph that is no label and no scores."""
        for name in outputs:
            expect(name in self.names, f"output {name!r} is not made of what the trees give; {_REMEDY}")
        self.own_label = any(self.names[name] == LABEL and name not in self._chosen for name in outputs)


def _check_keeps_order(on: Operands) -> None:
    """Raises :class:`ModelError` for what makes other scores equal, turns them round, or takes the last of equal ones."""
    kind = on.node.op_type
    whole = kind == "Cast" and on.attribute("to") not in _FLOATS
    expect(not whole, f"{on.where} rounds what the trees give; {_REMEDY}")
    turns = kind == "Normalizer" and on.attribute("norm", "MAX") == "MAX"
    expect(not turns, f"{on.where} divides by the highest score, which may be negative; {_REMEDY}")
    last = kind == "ArgMax" and on.attribute("select_last_index", 0)
    expect(not last, f"{on.where} takes the last of equal scores, and a forest the first; {_REMEDY}")
