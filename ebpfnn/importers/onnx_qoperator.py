"""Nodes of ONNX that do several things at once, as the nodes that do one each.

onnxruntime writes them: QLinearConv and its like (QuantFormat.QOperator), MatMulInteger and ConvInteger of what is quantized as
it comes (quantize_dynamic), and FusedConv and FusedGemm (an optimized graph that was saved).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .onnx_operands import Constant, attribute

if TYPE_CHECKING:
    import onnx

_BY_PRODUCT = {"QLinearConv": ("Conv", 3), "QLinearMatMul": ("MatMul", 3), "QGemm": ("Gemm", 3)}
_OF_ONE = frozenset({"LeakyRelu", "Sigmoid", "AveragePool", "GlobalAveragePool", "Softmax"})
_OF_TWO = frozenset({"Add", "Mul"})
_INTEGER = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}
_FUSED = {"FusedConv": "Conv", "FusedGemm": "Gemm"}
_PARAMETERS: Mapping[str, tuple[str, ...]] = {"LeakyRelu": ("alpha",), "Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta")}
_OWN = ("activation", "activation_params", "activation_alpha", "activation_beta", "activation_gamma", "channels_last")


def rewrite(graph: onnx.GraphProto, constants: dict[str, Constant]) -> None:
    """Replaces such nodes of ``graph``; biases in integers become floats among ``constants``."""
    kinds = {node.op_type for node in graph.node}
    if not any(kind.startswith(("QLinear", "Fused")) or kind in ("QGemm", *_INTEGER) for kind in kinds):
        return
    found = _Rewritten(graph, constants)
    kept = [type(node).FromString(node.SerializeToString()) for node in found.nodes()]
    del graph.node[:]
    graph.node.extend(kept)


@dataclass
class _Rewritten:
    """``scales`` are nodes that multiply scales of integers, which go with the products that they are of."""

    graph: onnx.GraphProto
    constants: dict[str, Constant]
    makers: dict[str, onnx.NodeProto] = field(init=False)
    takers: dict[str, list[onnx.NodeProto]] = field(init=False)
    ends: dict[str, _Dynamic] = field(init=False)

    def __post_init__(self) -> None:
        self.makers = {name: node for node in self.graph.node for name in node.output}
        self.takers = {}
        for node in self.graph.node:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)
        known = (self._dynamic(node) for node in self.graph.node if node.op_type in _INTEGER)
        self.ends = {each.last.output[0]: each for each in known if each}

    def nodes(self) -> Iterator[onnx.NodeProto]:
        inside = {name for each in self.ends.values() for name in (each.product.output[0], each.cast.output[0])}
        kept = [node for node in self.graph.node if inside.isdisjoint(node.output)]
        made = [new for node in kept for new in self._made(node)]
        taken = Counter(name for node in made for name in node.input) + Counter(each.name for each in self.graph.output)
        left = set[int]()
        for number in reversed(range(len(made))):  # nobody asks for the scales of what is quantized as it comes
            node = made[number]
            if self.ends and node.op_type in ("DynamicQuantizeLinear", "Mul") and not any(taken[name] for name in node.output):
                left.add(number)
                taken.subtract(node.input)
        return (node for number, node in enumerate(made) if number not in left)

    def _made(self, node: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
        kind, plain = node.op_type, node.op_type.removeprefix("QLinear")
        if node.output and node.output[0] in self.ends:
            return self._dequantized(self.ends[node.output[0]])
        if attribute(node, "channels_last", 0):
            return [node]
        if kind in _BY_PRODUCT:
            return self._product(node)
        if kind.startswith("QLinear") and plain in _OF_ONE:
            return self._rounded(node, plain, [list(node.input[:3])], list(node.input[3:5]))
        if kind.startswith("QLinear") and plain in _OF_TWO:
            return self._rounded(node, plain, [list(node.input[:3]), list(node.input[3:6])], list(node.input[6:8]))
        if kind == "QLinearConcat":
            values = [list(node.input[at : at + 3]) for at in range(2, len(node.input), 3)]
            return self._rounded(node, plain, values, list(node.input[:2]))
        if kind in _FUSED and (kind == "FusedGemm" or len(node.input) < 4):
            return self._fused(node)
        return [node]

    def _product(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Weights are quantized by output; a bias has the scale of the sum."""
        kind, given = node.op_type, [*node.input, "", "", ""]
        bias, to = (given[8], given[6:8]) if kind == "QLinearConv" else (given[6], given[7:9])
        bias, to = ("", given[6:8]) if kind == "QLinearMatMul" else (bias, to)
        axis = 0 if kind == "QLinearConv" or attribute(node, "transB", 0) else 1
        more = []
        if bias:
            held = [self.constants.get(name) for name in (bias, given[1], given[4])]
            if any(each is None for each in held):
                return [node]
            whole, one, other = (each.floats for each in held if each is not None)
            more = [f"{node.output[0]} bias"]
            self.constants[more[0]] = Constant(whole * one * other.reshape(-1) * float(attribute(node, "alpha", 1.0)))
        return self._rounded(node, _BY_PRODUCT[kind][0], [given[:3], given[3:6]], to, more, axis)

    def _rounded(
        self,
        node: onnx.NodeProto,
        kind: str,
        values: list[list[str]],
        to: list[str],
        more: list[str] | None = None,
        axis: int = 1,
    ) -> list[onnx.NodeProto]:
        """``kind`` of ``values``, each by its name, scale and zero point, quantized by those of ``to``, or not without."""
        name = node.output[0]
        floats = [f"{name} operand {number}" for number in range(len(values))]
        before = [_node("DequantizeLinear", node, given, own, axis=axis) for given, own in zip(values, floats, strict=True)]
        rounds = bool(to and to[0])
        by = _node(kind, node, [*floats, *(more or [])], f"{name} in floats" if rounds else name)
        by.attribute.extend(each for each in node.attribute if each.name not in _OWN)
        after = [_node("QuantizeLinear", node, [f"{name} in floats", *to], name)] if rounds else []
        return [*before, by, *after]

    def _fused(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        name, kind = node.output[0], str(attribute(node, "activation", ""))
        by = _node(_FUSED[node.op_type], node, list(node.input), f"{name} sum" if kind else name)
        by.attribute.extend(each for each in node.attribute if each.name not in _OWN)
        if not kind:
            return [by]
        own = list(attribute(node, "activation_params", ()))
        own = own or [
            attribute(node, key) for key in ("activation_alpha", "activation_beta") if attribute(node, key) is not None
        ]
        return [by, _node(kind, node, [f"{name} sum"], name, **dict(zip(_PARAMETERS.get(kind, ()), own, strict=False)))]

    def _dynamic(self, node: onnx.NodeProto) -> _Dynamic | None:
        """The nodes around ``node`` that make floats of its sum, if they are as onnxruntime writes them."""
        by = self.makers.get(node.input[0])
        weights = self.constants.get(node.input[1])
        cast = self._only(node.output[0], "Cast")
        last = cast and self._only(cast.output[0], "Mul")
        if by is None or by.op_type != "DynamicQuantizeLinear" or weights is None or cast is None or last is None:
            return None
        scales = self.makers.get(
            next(name for name in last.input if name != cast.output[0]) if len(set(last.input)) > 1 else ""
        )
        if scales is None or scales.op_type != "Mul" or by.output[1] not in scales.input:
            return None
        scale = next((name for name in scales.input if name != by.output[1]), "")
        if scale not in self.constants:
            return None
        return _Dynamic(node, cast, last, by.input[0], scale)

    def _only(self, name: str, kind: str) -> onnx.NodeProto | None:
        """The one node that takes ``name``, if it is of ``kind``."""
        found = self.takers.get(name, [])
        return found[0] if len(found) == 1 and found[0].op_type == kind else None

    def _dequantized(self, found: _Dynamic) -> list[onnx.NodeProto]:
        node, name = found.product, found.last.output[0]
        own = f"{name} weights"
        scale = f"{name} scale"
        self.constants[scale] = Constant(self.constants[found.scale].array.reshape(-1))
        given = [node.input[1], scale, *node.input[3:4]]
        axis = 0 if node.op_type == "ConvInteger" else 1
        by = _node(_INTEGER[node.op_type], node, [found.given, own], name)
        by.attribute.extend(node.attribute)
        return [_node("DequantizeLinear", node, given, own, axis=axis), by]


@dataclass(frozen=True)
class _Dynamic:
    """A product of integers whose values, ``given`` as floats, are quantized as they come; ``scale`` is that of its weights."""

    product: onnx.NodeProto
    cast: onnx.NodeProto
    last: onnx.NodeProto
    given: str
    scale: str


def _node(kind: str, like: onnx.NodeProto, given: list[str], name: str, **attributes: Any) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node(kind, given, [name], name=like.name or like.output[0], **attributes)
