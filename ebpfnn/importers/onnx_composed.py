"""Several nodes of ONNX that compute one activation function together, as exporters write SiLU, GELU, or LeakyReLU by Where.

They are recognized by what they give, not by how they are written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..quantize.functions import Function, apply
from .onnx_constants import COMPUTE
from .onnx_file import where
from .onnx_functions import COMPOSED, UNLIMITED
from .onnx_operands import Constant, Operands, attribute
from .steps import Floats

if TYPE_CHECKING:
    import onnx

    _Value = Callable[[onnx.NodeProto, Mapping[str, Floats]], Floats | None]

_MOST = 16
"""Nodes that compute one function together, at most."""
_MOST_SLOPES = 1024
_CLOSE = 1e-4
"""Exporters write their constants in float32, and some of them in few digits."""
_FINE, _FAR = (0.01, 0.03, 0.05, 0.07), (10, 12, 15, 20, 30, 40, 60)
_SIDE = np.sort([*_FINE, *np.linspace(0.1, 9, 90), *_FAR])
_GRID = np.concatenate([-_SIDE[::-1], [0.0], _SIDE])
_AT_0 = len(_SIDE)
_BOTH_SIDES = np.array([-1.0, 1.0])
_SLOPES = (1.0, 1.702)
_KNOWN = (
    *((Function("silu", (slope,)),) for slope in _SLOPES),
    *((Function(name),) for name in ("hardswish", "gelu", "gelu_tanh", "mish", "softsign", "square", "abs")),
    (Function("negative"), Function("softplus"), Function("negative")),
)
_TWO: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Max": np.maximum,
    "Min": np.minimum,
    "Greater": lambda one, other: (one > other).astype(np.float64),
    "GreaterOrEqual": lambda one, other: (one >= other).astype(np.float64),
    "Less": lambda one, other: (one < other).astype(np.float64),
    "LessOrEqual": lambda one, other: (one <= other).astype(np.float64),
}
_ONE: Mapping[str, Callable[[onnx.NodeProto], Function]] = {
    "Sigmoid": lambda node: Function("sigmoid"),
    "Tanh": lambda node: Function("tanh"),
    "Erf": lambda node: Function("erf"),
    "Softplus": lambda node: Function("softplus"),
    "Exp": lambda node: Function("exp"),
    "Abs": lambda node: Function("abs"),
    "Relu": lambda node: Function("leaky", (0.0,)),
    "LeakyRelu": lambda node: Function("leaky", (attribute(node, "alpha", 0.01),)),
    "Neg": lambda node: Function("negative"),
    "HardSigmoid": lambda node: Function("hardsigmoid", (attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5))),
}
_PARTS = frozenset({*_TWO, *_ONE, "Clip", "Where", "Not", "Identity", "Cast"})
_STRAIGHT = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Abs", "Relu", "Neg", "Identity"})
"""Parts of functions that are straight on both sides of 0, if they multiply by constants alone and add none."""


def compose(graph: onnx.GraphProto, constants: dict[str, Constant]) -> None:
    """Replaces nodes of ``graph`` that compute a known function of one value together by one node.

    The slopes of a PRelu that is made so are added to ``constants``.
    """
    takers: defaultdict[str, list[int]] = defaultdict(list)
    for number, node in enumerate(graph.node):
        for name in set(node.input):
            takers[name].append(number)
    regions = _Regions(graph, takers, {each.name for each in graph.output}, {**constants, **_written(graph)})
    gone: set[int] = set()
    made: dict[int, onnx.NodeProto] = {}
    for name, users in takers.items():
        twice = len(users) > 1 or list(graph.node[users[0]].input).count(name) > 1
        if not twice or len(users) > _MOST or name in regions.constants or not gone.isdisjoint(users):
            continue
        found = regions.function(name) or regions.slopes(name, constants)
        if found:
            inside, last, node = found
            gone |= inside
            made[last] = node
    if gone:
        kept = [made.get(number, node) for number, node in enumerate(graph.node) if number in made or number not in gone]
        copies = [type(node).FromString(node.SerializeToString()) for node in kept]
        del graph.node[:]
        graph.node.extend(copies)


def _written(graph: onnx.GraphProto) -> dict[str, Constant]:
    """The constants that nodes of their own hold."""
    count, found = len(graph.node), {}
    for number, node in enumerate(graph.node, 1):
        if node.op_type == "Constant" and len(node.output) == 1:
            found[node.output[0]] = COMPUTE["Constant"](Operands(node, where(number, node, count), (), "", 1, {}))
    return found


@dataclass(frozen=True)
class _Regions:
    """Nodes that compute one value of another; ``takers`` are those that take each value."""

    graph: onnx.GraphProto
    takers: Mapping[str, list[int]]
    results: set[str]
    constants: Mapping[str, Constant]

    def function(self, begin: str) -> tuple[set[int], int, onnx.NodeProto] | None:
        """The nodes behind ``begin`` that are a known function, the last of them, and the node in their place."""
        for inside, last, found in self._of(begin, _GRID, self._value):
            functions = _like(found)
            if functions:
                return inside, last, _node(self.graph.node[last], begin, functions)
        return None

    def slopes(self, begin: str, constants: dict[str, Constant]) -> tuple[set[int], int, onnx.NodeProto] | None:
        """As :meth:`function`, of nodes that are a PRelu, whose slopes are put in ``constants``."""
        for inside, last, found in self._of(begin, _BOTH_SIDES, self._straight):
            shape = next(self._shapes(inside), None)
            if shape and found.shape == (np.prod(shape), 2) and (np.abs(found[:, 1] - 1) <= _CLOSE).all():
                node = self.graph.node[last]
                name = f"slopes of {node.output[0]}"
                constants[name] = Constant((-found[:, 0]).reshape(shape))
                made = type(node)(op_type="PRelu", name=node.name, input=[begin, name], output=node.output)
                return inside, last, made
        return None

    def _shapes(self, inside: set[int]) -> Iterator[tuple[int, ...]]:
        names = {name for number in inside for name in self.graph.node[number].input if name in self.constants}
        return (self.constants[name].array.shape for name in sorted(names) if self.constants[name].array.size > 1)

    def _of(self, begin: str, grid: Floats, value: _Value) -> Iterator[tuple[set[int], int, Floats]]:
        """Nodes that compute one value of ``begin`` alone, the last of them, and what it is on the grid; the smallest first."""
        nodes, takers = self.graph.node, self.takers
        first = takers[begin][0]
        values, inside, uses = {begin: grid.copy()}, set[int](), 0
        waiting = sorted(set(takers[begin]))
        while waiting and len(inside) < _MOST and len(waiting) <= _MOST:
            number = waiting.pop(0)
            node = nodes[number]
            found = value(node, values)
            if found is None or number < first:
                continue
            inside.add(number)
            uses += list(node.input).count(begin)
            values[node.output[0]] = found
            waiting = sorted({*waiting, *takers.get(node.output[0], ())} - inside)
            if uses > 1 and self._open(inside) == [node.output[0]]:
                yield set(inside), number, found

    def _open(self, inside: set[int]) -> list[str]:
        """The outputs of the nodes ``inside`` that others take, or nobody."""
        own = [self.graph.node[each].output[0] for each in inside]
        return [name for name in own if name in self.results or not inside.issuperset(self.takers.get(name, (-1,)))]

    def _value(self, node: onnx.NodeProto, values: Mapping[str, Floats]) -> Floats | None:
        """What ``node`` gives on the grid; None for one that takes anything but numbers and what is known there."""
        if node.op_type not in _PARTS or len(node.output) != 1 or not node.input:
            return None
        given = []
        for name in node.input:
            constant, found = self.constants.get(name), values.get(name)
            if constant is not None and constant.array.size == 1 and constant.array.dtype.kind in "fiub":
                found = np.full(1, float(constant.array.reshape(())))
            if found is None and name:
                return None
            given.append(found)
        with np.errstate(all="ignore"):
            return _computed(node, given)

    def _straight(self, node: onnx.NodeProto, values: Mapping[str, Floats]) -> Floats | None:
        """As :meth:`_value`, of what is straight on both sides of 0; a constant may have a number for each channel."""
        if node.op_type not in _STRAIGHT or len(node.output) != 1 or not node.input:
            return None
        given = [values.get(name) for name in node.input]
        if node.op_type in ("Mul", "Div"):
            at = 0 if given[0] is None and node.op_type == "Mul" else 1
            constant = self.constants.get(node.input[at])
            if constant is None or constant.array.dtype.kind != "f" or constant.array.size > _MOST_SLOPES:
                return None
            given[at] = constant.floats.reshape(-1, 1)
        fits = {each.shape for each in given if each is not None and each.ndim == 2 and each.shape[0] > 1}
        if any(each is None for each in given) or len({shape[0] for shape in fits}) > 1:
            return None
        with np.errstate(all="ignore"):
            return _computed(node, given)


def _computed(node: onnx.NodeProto, given: list[Floats | None]) -> Floats | None:
    first, rest = given[0], given[1:]
    second = rest[0] if rest else None
    if first is None:
        return None
    if node.op_type in _TWO:
        return _TWO[node.op_type](first, second) if len(rest) == 1 and second is not None else None
    if node.op_type == "Where":
        third = rest[1] if len(rest) == 2 else None
        return np.where(first != 0, second, third) if second is not None and third is not None else None
    if node.op_type == "Not":
        return np.asarray(first == 0, np.float64)
    if node.op_type == "Clip":
        ends = zip((*rest, None, None), ("min", "max"), (-np.inf, np.inf), strict=False)
        low, high = (each if each is not None else attribute(node, name, none) for each, name, none in ends)
        return np.clip(first, low, high)
    return _ONE[node.op_type](node)(first) if node.op_type in _ONE else first


def _like(found: Floats) -> tuple[Function, ...]:
    """The functions that give ``found`` on the grid, one after the other; perhaps none."""
    if found.shape != _GRID.shape or not np.isfinite(found).all():
        return ()
    return next((each for each in (*_KNOWN, *_fitted(found)) if _alike(each, found)), ())


def _fitted(found: Floats) -> Iterator[tuple[Function, ...]]:
    """Functions whose parameters ``found`` tells."""
    slope, low, high = float(found[_AT_0 - 1] / _GRID[_AT_0 - 1]), float(found.min()), float(found.max())
    leaky = Function("leaky", (slope,))
    yield (leaky,)
    if low < high and high > 0:
        ends = low if found[0] == found[1] else -UNLIMITED, high if found[-1] == found[-2] else UNLIMITED
        yield leaky, Function("clip", ends)
    if found[_AT_0] > 0:
        steep = float(np.log(2) / found[_AT_0])
        yield Function("scale", (steep, 0.0)), Function("softplus"), Function("scale", (1 / steep, 0.0))


@lru_cache(256)
def _wanted(functions: tuple[Function, ...]) -> Floats:
    """On the grid; computed once of those that are asked about at every value of a graph."""
    return apply(functions, _GRID)


def _alike(functions: tuple[Function, ...], found: Floats) -> bool:
    wanted = _wanted(functions)
    return bool((np.abs(found - wanted) <= _CLOSE * np.maximum(1, np.abs(wanted))).all())


def _node(last: onnx.NodeProto, begin: str, functions: tuple[Function, ...]) -> onnx.NodeProto:
    from onnx import helper

    called = " ".join(each.name for each in functions)
    made = helper.make_node(COMPOSED, [begin], [last.output[0]], name=last.name or last.output[0], called=called)
    parameters = [number for each in functions for number in each.parameters]
    if parameters:
        made.attribute.append(helper.make_attribute("parameters", parameters))
    return made
