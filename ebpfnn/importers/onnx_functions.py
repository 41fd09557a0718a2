"""Activation functions of ONNX: of one node, or of several that compute one together, as exporters write SiLU or GELU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..quantize.functions import Function, apply
from . import building
from .onnx_operands import Constant, Operands, attribute
from .steps import Floats, Step

if TYPE_CHECKING:
    import onnx

COMPOSED = "Function"
"""The operator of the node that takes the place of several."""
_GRID = np.linspace(-9, 9, 181)
_MOST = 16
"""Nodes that compute one function together, at most."""
_SLOPES = (1.0, 1.702)
_KNOWN = (
    *(Function("silu", (slope,)) for slope in _SLOPES),
    *(Function(name) for name in ("hardswish", "gelu", "gelu_tanh", "mish", "softsign", "square", "abs")),
)
_CLOSE = 1e-4
"""Exporters write their constants in float32, and some of them in few digits."""


def _single(name: str, *parameters: tuple[str, float]) -> Callable[[Operands], list[Step]]:
    def make(on: Operands) -> list[Step]:
        return [building.function(on.where, name, *(float(on.attribute(key, default)) for key, default in parameters))]

    return make


def _gelu(on: Operands) -> list[Step]:
    return [building.function(on.where, "gelu_tanh" if on.attribute("approximate", "none") == "tanh" else "gelu")]


def _composed(on: Operands) -> list[Step]:
    return [building.function(on.where, str(on.attribute("called")), *on.attribute("parameters", ()))]


def _leaky(on: Operands) -> list[Step]:
    return [building.sloped(on.where, np.asarray(float(on.attribute("alpha", 0.01))), on.shape)]


def _prelu(on: Operands) -> list[Step]:
    return [building.sloped(on.where, on.array(1).astype(np.float64), on.shape)]


FUNCTIONS: Mapping[str, Callable[[Operands], list[Step]]] = {
    "Tanh": _single("tanh"),
    "Sigmoid": _single("sigmoid"),
    "HardSigmoid": _single("hardsigmoid", ("alpha", 0.2), ("beta", 0.5)),
    "HardSwish": _single("hardswish"),
    "Swish": _single("silu", ("alpha", 1.0)),
    "Gelu": _gelu,
    "FastGelu": _single("gelu_tanh"),
    "QuickGelu": _single("silu", ("alpha", 1.702)),
    "Elu": _single("elu", ("alpha", 1.0)),
    "Selu": _single("selu", ("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    "Celu": _single("celu", ("alpha", 1.0)),
    "Softplus": _single("softplus"),
    "Softsign": _single("softsign"),
    "Mish": _single("mish"),
    "Erf": _single("erf"),
    "Abs": _single("abs"),
    "Exp": _single("exp"),
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    COMPOSED: _composed,
}

_TWO: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Max": np.maximum,
    "Min": np.minimum,
}
_ONE: Mapping[str, Callable[[onnx.NodeProto], Function]] = {
    "Sigmoid": lambda node: Function("sigmoid"),
    "Tanh": lambda node: Function("tanh"),
    "Erf": lambda node: Function("erf"),
    "Softplus": lambda node: Function("softplus"),
    "Exp": lambda node: Function("exp"),
    "Relu": lambda node: Function("leaky", (0.0,)),
    "Neg": lambda node: Function("negative"),
    "HardSigmoid": lambda node: Function("hardsigmoid", (attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5))),
}
_PARTS = frozenset({*_TWO, *_ONE, "Clip", "Identity", "Cast"})


def compose(graph: onnx.GraphProto, constants: Mapping[str, Constant]) -> None:
    """Replaces nodes of ``graph`` that compute a known function of one value together by one node."""
    takers: defaultdict[str, list[int]] = defaultdict(list)
    for number, node in enumerate(graph.node):
        for name in set(node.input):
            takers[name].append(number)
    results = {each.name for each in graph.output}
    gone: set[int] = set()
    made: dict[int, onnx.NodeProto] = {}
    for name, users in list(takers.items()):
        if not 2 <= len(users) <= _MOST or name in constants or not gone.isdisjoint(users):
            continue
        for inside, last, found in _regions(graph, name, users[0], takers, results, constants):
            function = next((each for each in _KNOWN if _alike(each, found)), None)
            if function:
                gone |= inside
                made[last] = _node(graph.node[last], name, function)
                break
    if gone:
        kept = [made.get(number, node) for number, node in enumerate(graph.node) if number in made or number not in gone]
        copies = [type(node).FromString(node.SerializeToString()) for node in kept]
        del graph.node[:]
        graph.node.extend(copies)


def _regions(
    graph: onnx.GraphProto,
    begin: str,
    first: int,
    takers: Mapping[str, list[int]],
    results: set[str],
    constants: Mapping[str, Constant],
) -> Iterator[tuple[set[int], int, Floats]]:
    """Nodes that compute one value of ``begin`` alone, the last of them, and what it is on the grid; the smallest first."""
    values, inside, uses = {begin: _GRID.copy()}, set[int](), 0
    waiting = sorted(set(takers[begin]))
    while waiting and len(inside) < _MOST and len(waiting) <= _MOST:
        number = waiting.pop(0)
        node = graph.node[number]
        found = _value(node, values, constants)
        if found is None or number < first:
            continue
        inside.add(number)
        uses += begin in node.input
        values[node.output[0]] = found
        waiting = sorted({*waiting, *takers[node.output[0]]} - inside)
        own = [graph.node[each].output[0] for each in inside]
        open_ = [name for name in own if name in results or not inside.issuperset(takers[name]) or not takers[name]]
        if uses > 1 and open_ == [node.output[0]]:
            yield set(inside), number, found


def _value(node: onnx.NodeProto, values: Mapping[str, Floats], constants: Mapping[str, Constant]) -> Floats | None:
    """What ``node`` gives on the grid; None for one that takes anything but numbers and what is known there."""
    if node.op_type not in _PARTS or len(node.output) != 1 or not node.input:
        return None
    given = []
    for name in node.input:
        constant, found = constants.get(name), values.get(name)
        if constant is not None and constant.array.size == 1:
            found = np.full(1, float(constant.array.reshape(())))
        if found is None and name:
            return None
        given.append(found)
    with np.errstate(all="ignore"):
        return _computed(node, given)


def _computed(node: onnx.NodeProto, given: list[Floats | None]) -> Floats | None:
    first, rest = given[0], given[1:]
    if first is None:
        return None
    if node.op_type in _TWO:
        both = len(rest) == 1 and rest[0] is not None
        return _TWO[node.op_type](first, rest[0]) if both and rest[0] is not None else None
    if node.op_type == "Clip":
        ends = zip((*rest, None, None), ("min", "max"), (-np.inf, np.inf), strict=False)
        low, high = (each if each is not None else attribute(node, name, none) for each, name, none in ends)
        return np.clip(first, low, high)
    return _ONE[node.op_type](node)(first) if node.op_type in _ONE else first


def _alike(function: Function, found: Floats) -> bool:
    wanted = apply((function,), _GRID)
    return found.shape == wanted.shape and bool((np.abs(found - wanted) <= _CLOSE * np.maximum(1, np.abs(wanted))).all())


def _node(last: onnx.NodeProto, begin: str, function: Function) -> onnx.NodeProto:
    from onnx import helper

    made = helper.make_node(COMPOSED, [begin], [last.output[0]], name=last.name or last.output[0], called=function.name)
    if function.parameters:
        made.attribute.append(helper.make_attribute("parameters", list(function.parameters)))
    return made
