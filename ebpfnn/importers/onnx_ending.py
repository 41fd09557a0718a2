"""The end of a graph: which of its values has the scores, and which labels they are of.

Classifiers that skl2onnx writes have two outputs, the label and the probabilities. Both are made of the same scores, by nodes
that change no label. These nodes are not walked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from ..network.layers import expect
from .onnx_operands import Constant, attribute

if TYPE_CHECKING:
    import onnx

CLASSIFIERS = frozenset({"LinearClassifier", "SVMClassifier"})
"""Their outputs are a label and the scores."""
NAMES = ("classlabels_strings", "classlabels_ints", "classlabels_int64s")
"""The attributes of classifiers and of ZipMap that hold labels."""
_MOST_OUTPUTS = 8
_SAME = frozenset({"Identity", "Cast", "Reshape"})
_LAST = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})


@dataclass(frozen=True)
class Ending:
    """``scores`` is the value with the scores, or with what a softmax or sigmoid makes of them.

    ``labels`` are those that the graph names, perhaps none. ``logit`` is whether one score stands for two classes. ``chooses``
    is whether an output is the label. ``needed`` are the numbers of the nodes that lead there, counted from 0.
    """

    scores: str
    labels: tuple[str, ...]
    logit: bool
    chooses: bool
    needed: frozenset[int]


def find(graph: onnx.GraphProto, constants: Mapping[str, Constant]) -> Ending:
    """How ``graph`` ends. Raises :class:`ModelError` where it has several outputs, but not a label and its scores."""
    counts = f"has 1 inputs and {len(graph.output)} outputs; export one of each, the sample and the logits"
    expect(len(graph.output) <= _MOST_OUTPUTS, counts)
    tail = _Tail(graph, constants)
    found = [tail.follow(each.name) for each in graph.output]
    scores = {name for name, is_label in found if not is_label} or {name for name, _ in found}
    expect(len(scores) == 1, counts)
    name = scores.pop()
    whole = name == graph.output[0].name
    needed = frozenset(range(len(graph.node))) if whole else tail.ancestors(name)
    return Ending(name, tail.labels, tail.logit, any(is_label for _, is_label in found), needed)


class _Tail:
    """``labels`` and ``logit`` are those of the outputs that were followed."""

    def __init__(self, graph: onnx.GraphProto, constants: Mapping[str, Constant]) -> None:
        self._nodes, self._constants = graph.node, constants
        self._made = {name: number for number, node in enumerate(graph.node) for name in node.output if name}
        self.labels: tuple[str, ...] = ()
        self.logit = False

    def follow(self, output: str) -> tuple[str, bool]:
        """The value that ``output`` is made of by nodes that change no label, and whether ``output`` is the label."""
        name, is_label, changed = output, False, False
        for _ in range(len(self._nodes)):
            node = self._nodes[self._made[name]] if name in self._made else None
            if node is None or node.op_type in _LAST:
                break
            if node.op_type in CLASSIFIERS:
                self._name(_named(node))
                return node.output[1], is_label or name == node.output[0]
            before = self._before(node)
            if before is None:
                break
            is_label |= node.op_type == "ArgMax"
            changed |= node.op_type not in _SAME or self._is_column(node)
            name = before
        last = name in self._made and self._nodes[self._made[name]].op_type in _LAST
        return (name if changed or last else output), is_label

    def ancestors(self, name: str) -> frozenset[int]:
        found: set[int] = set()
        waiting = [name]
        while waiting:
            number = self._made.get(waiting.pop())
            if number is not None and number not in found:
                found.add(number)
                waiting += self._nodes[number].input
        return frozenset(found)

    def _before(self, node: onnx.NodeProto) -> str | None:
        """What ``node`` makes its output of, if it changes no label; else None."""
        if node.op_type == "ArrayFeatureExtractor":
            return self._of_names(node)
        if node.op_type == "Concat":
            return self._of_two(node)
        if node.op_type == "ZipMap":
            self._name(_named(node))
        return str(node.input[0]) if node.op_type in _SAME or _keeps_label(node) else None

    def _is_column(self, node: onnx.NodeProto) -> bool:
        """Whether it puts all numbers below each other, as skl2onnx does behind an MLPRegressor, of several targets too."""
        to = self._constants.get(node.input[1]) if node.op_type == "Reshape" and len(node.input) > 1 else None
        return to is not None and to.array.tolist() == [-1, 1]

    def _of_names(self, node: onnx.NodeProto) -> str | None:
        """``classes[ArgMax(scores)]``; else it selects columns."""
        names, index = map(str, node.input)
        made = self._nodes[self._made[index]] if index in self._made else None
        if names not in self._constants or made is None:
            return None
        self._name(tuple(self._constants[names].array.reshape(-1).tolist()))
        return index

    def _of_two(self, node: onnx.NodeProto) -> str | None:
        """``1 - p`` beside ``p``, or ``-z`` beside ``z``."""
        if len(node.input) != 2 or node.input[0] not in self._made:
            return None
        first, second = self._nodes[self._made[node.input[0]]], str(node.input[1])
        one = first.op_type == "Sub" and first.input[0] in self._constants and first.input[1] == second
        one = one and bool((self._constants[first.input[0]].array == 1).all())
        if not one and not (first.op_type == "Neg" and first.input[0] == second):
            return None
        self.logit = True
        return second

    def _name(self, labels: tuple[Any, ...]) -> None:
        self.labels = self.labels or tuple(map(_text, labels))


def _keeps_label(node: onnx.NodeProto) -> bool:
    """Not a Normalizer by the maximum, which may be negative, nor an ArgMax that takes the last of equal scores."""
    if node.op_type == "Normalizer":
        return bool(attribute(node, "norm", "MAX") != "MAX")
    return node.op_type == "ZipMap" or (node.op_type == "ArgMax" and not attribute(node, "select_last_index", 0))


def _named(node: onnx.NodeProto) -> tuple[Any, ...]:
    return next((tuple(found) for name in NAMES if (found := attribute(node, name))), ())


def _text(label: Any) -> str:
    """A label of a file: text as bytes, or a number; a whole float without its point."""
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if isinstance(label, (bool, np.bool_)):
        label = int(label)
    text = str(int(label) if isinstance(label, float) and label.is_integer() else label)
    if not text or not text.isprintable():
        raise ModelError(f"its label {text!r} cannot be shown; give --labels")
    return text
