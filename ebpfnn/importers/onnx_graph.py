"""An ONNX graph as a chain of steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError
from ..network.layers import Shape, expect
from ..network.onnxkeys import PRODUCER, SCORES
from . import building, onnx_composed, onnx_quant, onnx_refused
from .onnx_constants import COMPUTE
from .onnx_ending import CLASSIFIERS, find
from .onnx_file import where
from .onnx_joined import join
from .onnx_ml import DOMAIN, ML_MAKERS
from .onnx_operands import Constant, Operands, from_tensor
from .onnx_operators import MAKERS, check_cast
from .onnx_values import MOVES, WITHOUT_MAKERS, Values, joined
from .steps import LARGEST, Chain, Quantize, Scale, naming

if TYPE_CHECKING:
    import onnx

_TABULAR = "skl2onnx"
"""The producer of files that take rows of a table."""
_LAST = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
"""They leave the order of the scores as it is, and the label with it; ebpfnn computes its own from the logits."""
_AFTER_THE_LAST = frozenset({"Identity", "Cast", "QuantizeLinear", "DequantizeLinear", *MOVES})
_ON_INTEGERS = MOVES | {"MaxPool", "GlobalMaxPool"}
"""What does the same to integers as to the numbers that they stand for."""
_ON_BRANCHES = "joins or shares quantized integers, which cannot be imported; export the graph in floats"
_REMEDY = "Conv, Gemm, MatMul, pooling, BatchNormalization, Relu, LeakyRelu, Clip, Flatten and QuantizeLinear can be"


def to_chain(model: onnx.ModelProto) -> Chain:
    """The steps of the graph of ``model``. Raises :class:`ModelError`, naming the node, for what cannot be imported."""
    graph = model.graph
    constants = {tensor.name: from_tensor(tensor) for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in constants]
    own = model.producer_name == PRODUCER and any(each.name == SCORES for each in graph.output)
    fact = "is a graph, a network of tables or a cascade, whose integers are in operators that are no layers"
    expect(not own, f"{fact}; use the file it was exported from, or `ebpfnn export --raw` and `ebpfnn import`")
    counts = f"has {len(inputs)} inputs and {len(graph.output)} outputs; export one of each, the sample and the logits"
    tabular = model.producer_name == _TABULAR or any(node.domain == DOMAIN for node in graph.node)
    expect((len(inputs) == 1 or (tabular and len(inputs) > 1)) and len(graph.output) > 0, counts)
    ending = find(graph, constants)
    onnx_composed.compose(graph, constants)
    ending = find(graph, constants)
    _check_operators(graph, ending.needed)
    walk, taken = _start(graph, inputs, constants, tabular=tabular)
    walk.ends, walk.open, walk.shapes = _ends(graph, ending.scores), {walk.tip: walk.values}, {walk.tip: walk.values.shape}
    needed = [node for number, node in enumerate(graph.node) if number in ending.needed and node.op_type != "Shape"]
    walk.uses = Counter(name for node in needed for name in node.input)
    walk.shared = frozenset(name for name, count in walk.uses.items() if count > 1)
    for number, node in enumerate(graph.node, 1):
        here = where(number, node, len(graph.node))
        with naming(here):
            if number - 1 in ending.needed - taken:
                walk.take(node, here)
    chain = walk.values.chain
    expect(
        ending.scores == walk.tip, f"output {ending.scores!r} is not what the last node gives; export one output, the logits"
    )
    fact = "moves its scores behind the last layer, which cannot be imported; export them as the layer gives them"
    expect(not walk.values.layout.moved, fact)
    chain.ending = "" if not walk.ended else "sigmoid" if walk.bounded else "softmax"
    one = prod(chain.shape) == 1
    chain.labels, chain.logit = ending.labels, one and (ending.logit or walk.bounded or len(ending.labels) == 2)
    return chain


def _ends(graph: onnx.GraphProto, scores: str) -> frozenset[str]:
    makers = {name: node for node in graph.node for name in node.output}
    found = {scores}
    while scores in makers and makers[scores].op_type in _AFTER_THE_LAST:
        scores = makers[scores].input[0]
        found.add(scores)
    return frozenset(found)


def _check_operators(graph: onnx.GraphProto, needed: frozenset[int]) -> None:
    """Refuses by its name the first operator on the way from an input that no step can be made of."""
    constants = {tensor.name for tensor in graph.initializer}
    known, reached = _known(), {each.name for each in graph.input if each.name not in constants}
    for number, node in enumerate(graph.node):
        here = where(number + 1, node, len(graph.node))
        if number not in needed or reached.isdisjoint(node.input) or node.op_type == "Shape":
            continue
        reached.update(node.output)
        fact = onnx_refused.reason(node.op_type, known)
        expect(
            fact is None or node.domain in onnx_quant.DOMAINS, f"{here} {fact}" + ("" if ";" in f"{fact}" else f"; {_REMEDY}")
        )


def _known() -> frozenset[str]:
    """What can be done to values."""
    always = {"Cast", "Clip", "Identity", "Dropout", "QuantizeLinear", "DequantizeLinear", "Concat", "FeatureVectorizer"}
    return frozenset({*MAKERS, *ML_MAKERS, *WITHOUT_MAKERS, *_LAST, *always})


def _start(
    graph: onnx.GraphProto, inputs: Sequence[onnx.ValueInfoProto], constants: dict[str, Constant], *, tabular: bool
) -> tuple[_Walk, frozenset[int]]:
    """The walk from the value that joins all inputs, and the nodes before it."""
    if len(inputs) > 1:
        joined = join(graph, inputs, constants)
        joined.chain.columns = joined.names
        return _Walk(Values.of(joined.chain), 1, joined.tip, constants), joined.taken
    chain, batch = _begin(inputs[0], tabular=tabular)
    return _Walk(Values.of(chain), batch, inputs[0].name, constants), frozenset()


def _begin(given: onnx.ValueInfoProto, *, tabular: bool) -> tuple[Chain, int]:
    """The chain at the graph's input, and how many samples the graph takes at once; 1 where it takes any number."""
    from onnx import TensorProto

    form = given.type.tensor_type
    sizes = [size.dim_value if size.HasField("dim_value") else 0 for size in form.shape.dim]
    fixed = len(sizes) > 1 and min(sizes[1:]) > 0
    expect(fixed, f"input {given.name!r} has sizes {sizes}, 0 for those not fixed; fix all but the first, the batch")
    floats = form.elem_type in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
    known = floats or form.elem_type in (TensorProto.UINT8, TensorProto.INT8)
    numbers = tabular and form.elem_type in (TensorProto.INT32, TensorProto.INT64)
    kind = TensorProto.DataType.Name(form.elem_type) if form.elem_type in TensorProto.DataType.values() else form.elem_type
    expect(known or numbers, f"input {given.name!r} is of type {kind}; export float, uint8 or int8")
    expect(len(sizes) <= 4, f"input {given.name!r} has sizes {sizes}; export at most three axes behind the batch")
    signed = form.elem_type == TensorProto.INT8
    chain = building.begin(tuple(sizes[1:]), bytes_given=not floats and not numbers, signed=signed)
    chain.tabular = tabular and len(chain.input_shape) == 1 and not chain.input_bytes
    return chain, max(1, sizes[0])


@dataclass
class _Walk:
    """``tip`` is the output that the chain has reached; ``passed`` those before it, which nothing may take again.

    ``bounded`` is whether a sigmoid was the last: its one output stands for two classes.
    """

    values: Values
    batch: int
    tip: str
    constants: dict[str, Constant]
    passed: set[str] = field(default_factory=set)
    quantized: Quantize | None = None
    ended: str = ""
    bounded: bool = False
    computed: int = 0
    ends: frozenset[str] = frozenset()
    """The outputs behind which nothing but rounding comes."""
    open: dict[str, Values] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    """How often nodes take each output yet; those that several take are ``shared``."""
    shared: frozenset[str] = frozenset()
    shapes: dict[str, Shape] = field(default_factory=dict)
    """Of all values so far, also of those that are passed: exporters ask for the shape of what they take no more."""

    def take(self, node: onnx.NodeProto, here: str) -> None:
        inputs = set(filter(None, node.input))
        taken = [name for name in node.input if name in self.open]
        if taken and node.op_type != "Shape":
            self._go_to(taken, node, here)
            if len(taken) > 1:
                return
        on = Operands(node, here, self.values.shape, self.tip, self.batch, self.constants)
        if node.op_type == "Shape" and inputs <= set(self.shapes):
            self.constants[node.output[0]] = on.sizes_of((self.batch, *self.shapes[node.input[0]]))
        elif inputs & self.passed:
            raise ModelError(
                f"{here} takes a value that another takes too: the graph branches; only a chain of layers can be imported"
            )
        elif self.tip in inputs:
            self._follow(on)
        elif node.domain in onnx_quant.DOMAINS and inputs <= set(self.constants):
            self.constants[node.output[0]] = onnx_quant.constant(on)
        elif node.op_type in COMPUTE and inputs <= set(self.constants):
            self._compute(on)
        else:
            raise ModelError(f"{here} makes a constant in a way that is not known; fold constants first, as onnxsim does")

    def _passed(self, tip: str) -> None:
        """The values are now those of ``tip``."""
        if self.tip not in self.open:
            self.passed.add(self.tip)
        self.tip = tip
        self.open[tip] = self.values
        self.shapes[tip] = self.values.shape

    def _go_to(self, taken: list[str], node: onnx.NodeProto, here: str) -> None:
        """To the values that ``node`` takes: those of a chain that goes on, or of one that begins where others end."""
        expect(self.quantized is None or (len(taken) == 1 and self.uses[taken[0]] == 1), f"{here} {_ON_BRANCHES}")
        found = [self._taken(name, here, alone=len(taken) == 1) for name in taken]
        self.tip, self.values = taken[0], found[0]
        if len(taken) > 1:
            expect(
                node.op_type in ("Add", "Sum", "Concat"), f"{here} takes several values; only Add and Concat can be imported"
            )
            self.values = joined(found, node, here)
            self._passed(node.output[0])

    def _taken(self, name: str, here: str, *, alone: bool) -> Values:
        """The values of ``name``, in a chain of their own if others take them too."""
        self.uses[name] -= 1
        values = self.open[name]
        if self.uses[name] == 0:
            del self.open[name]
        if name not in self.shared:
            return values
        values.settle(here)
        expect(not self.ended, f"{self.ended} is followed by more; a softmax must be the last")
        return values.forked() if alone else values

    def _compute(self, on: Operands) -> None:
        found = COMPUTE[on.node.op_type](on)
        self.computed += found.array.size
        fits = self.computed <= 4 * LARGEST
        expect(fits, f"{on.where} exceeds the number of constants that are computed; fold constants first, as onnxsim does")
        self.constants[on.node.output[0]] = found

    def _follow(self, on: Operands) -> None:
        kind = on.node.op_type
        if self.ended:
            last = f"{self.ended} is followed by more; a {'sigmoid' if self.bounded else 'softmax'} must be the last"
            expect(kind in _AFTER_THE_LAST - {"Transpose"}, last)
        elif kind in _LAST and (kind != "Sigmoid" or on.node.output[0] in self.ends):
            self.ended, self.bounded = on.where, kind == "Sigmoid"
        elif on.node.domain in onnx_quant.DOMAINS:
            self._round(on)
        elif kind == "QuantizeLinear":
            self._quantize(on)
        elif kind == "DequantizeLinear":
            self._dequantize(on)
        elif kind == "Cast":
            check_cast(on)
        elif kind == "Clip" and self.quantized:
            self._narrow(on, self.quantized)
        elif kind not in ("Identity", "Dropout"):
            makers = ML_MAKERS if on.node.domain == DOMAIN else MAKERS
            expect(kind in makers or kind in WITHOUT_MAKERS, f"{on.where} cannot be imported; {_REMEDY}")
            plain = not self.quantized or kind in _ON_INTEGERS
            expect(plain, f"{on.where} computes with quantized integers; put a DequantizeLinear before it")
            self.values.take(on, makers.get(kind))
        self._passed(on.node.output[1 if kind in CLASSIFIERS else 0])

    def _quantize(self, on: Operands) -> None:
        expect(
            self.quantized is None, f"{on.where} quantizes values that are quantized already; put a DequantizeLinear before it"
        )
        self.quantized = _quantization(on)
        self.values.append(self.quantized)

    def _round(self, on: Operands) -> None:
        """A Quant, which is a QuantizeLinear and a DequantizeLinear in one."""
        found = onnx_quant.of_values(on)
        if found:
            self.values.append(found)

    def _dequantize(self, on: Operands) -> None:
        """Of what a QuantizeLinear made by the same scale; or of a graph's input, which is bytes."""
        found = _quantization(on)
        if self.quantized is None:
            begins = self.values.chain.input_bytes and self.values.untouched
            expect(begins, f"{on.where} takes values that are not quantized; put a QuantizeLinear before it")
            self.values.append(Scale(on.where, np.full(1, found.scale), np.full(1, -found.scale * found.zero_point)))
            self.values.append(found)
            self._tell_bytes(found)
        else:
            same = (self.quantized.scale, self.quantized.zero_point) == (found.scale, found.zero_point)
            expect(same, f"{on.where} has another scale or zero point than the QuantizeLinear before it; make them the same")
        self.quantized = None

    def _tell_bytes(self, by: Quantize) -> None:
        moved = by.zero_point - by.low
        if by.low < 0:
            self.values.chain.notes.append(f"a byte b of a sample stands for {by.scale:.6g} * (b - {moved})")

    def _narrow(self, on: Operands, to: Quantize) -> None:
        """A Clip of integers, as PyTorch writes for ranges that are not a whole byte."""
        low, high = on.scalar(1), on.scalar(2)
        narrowed = Quantize(
            to.where,
            to.scale,
            to.zero_point,
            to.low if low is None else max(to.low, int(low)),
            to.high if high is None else min(to.high, int(high)),
        )
        self.values.settle(on.where)
        steps = self.values.chain.steps
        expect(steps[-1] is to, f"{on.where} does not stand right behind its QuantizeLinear; put it there")
        steps[-1] = self.quantized = narrowed


def _quantization(on: Operands) -> Quantize:
    """The parameters of a QuantizeLinear or DequantizeLinear of values."""
    scale = on.scalar(1)
    point = on.array(2) if on.has(2) else np.zeros((), np.uint8)
    expect(scale is not None and np.isfinite(scale) and scale > 0, f"{on.where} has a scale that is not a positive number")
    byte = point.size == 1 and point.dtype in (np.uint8, np.int8)
    expect(
        byte, f"{on.where} quantizes to {point.size} zero points of {point.dtype}; only one of int8 or uint8 can be imported"
    )
    limits = np.iinfo(point.dtype)
    return Quantize(on.where, float(scale or 0), int(point.reshape(())), int(limits.min), int(limits.max))
