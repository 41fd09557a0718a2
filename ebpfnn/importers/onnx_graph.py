"""An ONNX graph as a chain of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..network.layers import expect
from ..network.model import VECTOR
from ..network.onnxkeys import PRODUCER, SCORES
from . import building, onnx_composed, onnx_qoperator, onnx_quant, onnx_refused, onnx_rounding
from .flow import Flow, added, side_by_side
from .onnx_constants import COMPUTE
from .onnx_ending import CLASSIFIERS, find
from .onnx_file import where
from .onnx_joined import join
from .onnx_ml import DOMAIN, ML_MAKERS
from .onnx_operands import Constant, Operands, from_tensor
from .onnx_operators import MAKERS, check_cast
from .onnx_steps import MOVES, WITHOUT_MAKERS, take
from .steps import LARGEST, Chain, naming
from .values import Values

if TYPE_CHECKING:
    import onnx

_TABULAR = "skl2onnx"
"""The producer of files that take rows of a table."""
_LAST = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
"""They leave the order of the scores as it is, and the label with it; ebpfnn computes its own from the logits."""
_AFTER_THE_LAST = frozenset({"Identity", "Cast", "QuantizeLinear", "DequantizeLinear", *MOVES})
_ON_INTEGERS = MOVES | {"MaxPool", "GlobalMaxPool"}
"""What does the same to integers as to the numbers that they stand for."""
_JOINS = frozenset({"Add", "Sum", "Sub", "Concat"})
_REMEDY = "Conv, Gemm, MatMul, pooling, BatchNormalization, Relu, LeakyRelu, Clip, Flatten and QuantizeLinear can be"


def to_chain(model: onnx.ModelProto) -> Chain:
    """The steps of the graph of ``model``. Raises :class:`ModelError`, naming the node, for what cannot be imported."""
    graph = model.graph
    constants = {tensor.name: from_tensor(tensor) for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in constants]
    own = model.producer_name == PRODUCER and any(each.name == SCORES for each in graph.output)
    fact = "is a graph, a network of tables or a cascade, whose integers are in operators that are no layers"
    expect(not own, f"{fact}; use the file it was exported from, or `ebpfnn export --raw` and `ebpfnn import`")
    named = " (" + ", ".join(repr(each.name) for each in inputs[:3]) + ")" if len(inputs) > 1 else ""
    counts = f"has {len(inputs)} inputs{named} and {len(graph.output)} outputs; export one of each, the sample and the logits"
    tabular = model.producer_name == _TABULAR or any(node.domain == DOMAIN for node in graph.node)
    expect((len(inputs) == 1 or (tabular and len(inputs) > 1)) and len(graph.output) > 0, counts)
    _settle_casts(graph, {each.name for each in inputs})
    onnx_qoperator.rewrite(graph, constants)
    ending = find(graph, constants)
    onnx_composed.compose(graph, constants)
    ending = find(graph, constants)
    _check_operators(graph, ending.needed)
    tip, values, batch, taken = _start(graph, inputs, constants, tabular=tabular)
    needed = [node for number, node in enumerate(graph.node) if number in ending.needed - taken and node.op_type != "Shape"]
    flow = Flow(tip, values, [list(node.input) for node in needed])
    walk = _Walk(flow, batch, constants, _ends(graph, ending.scores))
    for number, node in enumerate(graph.node, 1):
        here = where(number, node, len(graph.node))
        with naming(here):
            if number - 1 in ending.needed - taken:
                walk.take(node, here)
    chain = flow.scores(ending.scores)
    one = prod(chain.shape) == 1
    chain.labels, chain.logit = ending.labels, chain.logit or (one and (ending.logit or len(ending.labels) == 2))
    if model.producer_name == _TABULAR and not (one or chain.ending or ending.chooses or ending.labels):
        chain.result = VECTOR  # skl2onnx writes the label of a classifier
    return chain


def _ends(graph: onnx.GraphProto, scores: str) -> frozenset[str]:
    makers = {name: node for node in graph.node for name in node.output}
    found = {scores}
    while scores in makers and makers[scores].op_type in _AFTER_THE_LAST:
        scores = makers[scores].input[0]
        found.add(scores)
    return frozenset(found)


def _settle_casts(graph: onnx.GraphProto, reached: set[str]) -> None:
    """Constants that PyTorch casts to the type of values (``optimize=False``) become floats, as all values are here."""
    from onnx import TensorProto, helper

    for node in graph.node:
        if node.op_type == "CastLike" and node.input[0] not in reached and node.input[1] in reached:
            node.op_type = "Cast"
            del node.input[1]
            node.attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
        elif node.op_type != "Shape" and not reached.isdisjoint(node.input):
            reached.update(node.output)


def _check_operators(graph: onnx.GraphProto, needed: frozenset[int]) -> None:
    """Refuses by its name the first operator on the way from an input that no step can be made of."""
    constants = {tensor.name for tensor in graph.initializer}
    known, reached = _known(), {each.name for each in graph.input if each.name not in constants}
    for number, node in enumerate(graph.node):
        here = where(number + 1, node, len(graph.node))
        if number not in needed or reached.isdisjoint(node.input) or node.op_type == "Shape":
            continue
        products = node.op_type in ("MatMul", "Gemm") and reached.issuperset(node.input[:2])
        kind = "Slice" if node.op_type == "Gather" and node.input[0] in reached else node.op_type
        reached.update(node.output)
        fact = onnx_refused.ATTENTION if products else onnx_refused.reason(kind, known)
        expect(
            fact is None or node.domain in onnx_quant.DOMAINS, f"{here} {fact}" + ("" if ";" in f"{fact}" else f"; {_REMEDY}")
        )


def _known() -> frozenset[str]:
    """What can be done to values."""
    always = {"Cast", "Clip", "Identity", "Dropout", "QuantizeLinear", "DequantizeLinear", "Concat", "FeatureVectorizer"}
    return frozenset({*MAKERS, *ML_MAKERS, *WITHOUT_MAKERS, *_LAST, *always})


def _start(
    graph: onnx.GraphProto, inputs: Sequence[onnx.ValueInfoProto], constants: dict[str, Constant], *, tabular: bool
) -> tuple[str, Values, int, frozenset[int]]:
    """The value that joins all inputs, by its name, how many samples it has, and the nodes before it."""
    if len(inputs) > 1:
        joined = join(graph, inputs, constants)
        joined.chain.columns = joined.names
        return joined.tip, Values.of(joined.chain), 1, joined.taken
    chain, batch = _begin(inputs[0], tabular=tabular)
    return inputs[0].name, Values.of(chain), batch, frozenset()


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
    """``ends`` are the outputs behind which nothing but rounding comes."""

    flow: Flow
    batch: int
    constants: dict[str, Constant]
    ends: frozenset[str]
    computed: int = 0

    def take(self, node: onnx.NodeProto, here: str) -> None:
        inputs = set(filter(None, node.input))
        given = self.flow.given(node.input)
        on = Operands(node, here, (), given[0] if given else "", self.batch, self.constants)
        if node.op_type == "Shape" and inputs <= self.flow.shapes.keys():
            self.constants[node.output[0]] = on.sizes_of((self.batch, *self.flow.shapes[node.input[0]]))
        elif len(given) > 1:
            self.flow.give(node.output[0], self._join(self.flow.take(given, here), on))
        elif given:
            (values,) = self.flow.take(given, here)
            self._follow(values, replace(on, shape=values.shape))
            self.flow.give(node.output[1 if node.op_type in CLASSIFIERS else 0], values)
        elif node.domain in onnx_quant.DOMAINS and inputs <= self.constants.keys():
            self.constants[node.output[0]] = onnx_quant.constant(on)
        elif node.op_type in COMPUTE and inputs <= self.constants.keys():
            self._compute(on)
        else:
            raise ModelError(f"{here} makes a constant in a way that is not known; fold constants first, as onnxsim does")

    @staticmethod
    def _join(given: list[Values], on: Operands) -> Values:
        kind = on.node.op_type
        expect(kind in _JOINS, f"{on.where} takes several values; only Add, Sum, Sub and Concat can")
        expect(len(given) == len(on.node.input), f"{on.where} joins values and constants, which cannot be imported")
        if kind == "Concat":
            return side_by_side(given, on.attribute("axis", 1), on.where)
        return added(given, (1.0, -1.0) if kind == "Sub" else (1.0,) * len(given), on.where)

    def _compute(self, on: Operands) -> None:
        found = COMPUTE[on.node.op_type](on)
        self.computed += found.array.size
        fits = self.computed <= 4 * LARGEST
        expect(fits, f"{on.where} exceeds the number of constants that are computed; fold constants first, as onnxsim does")
        self.constants[on.node.output[0]] = found

    def _follow(self, values: Values, on: Operands) -> None:
        kind = on.node.op_type
        if values.ended:
            expect(kind in _AFTER_THE_LAST - {"Transpose"}, values.followed)
        elif kind in _LAST and (kind != "Sigmoid" or on.node.output[0] in self.ends):
            values.ended, values.bounded = on.where, kind == "Sigmoid"
        elif on.node.domain in onnx_quant.DOMAINS:
            onnx_rounding.both(values, on)
        elif kind == "QuantizeLinear":
            onnx_rounding.quantize(values, on)
        elif kind == "DequantizeLinear":
            onnx_rounding.dequantize(values, on)
        elif kind == "Cast":
            check_cast(on)
        elif kind == "Clip" and values.quantized:
            onnx_rounding.narrow(values, on, values.quantized)
        elif kind not in ("Identity", "Dropout") and not (kind in ("Concat", "Sum") and len(on.node.input) == 1):
            makers = ML_MAKERS if on.node.domain == DOMAIN else MAKERS
            expect(kind in makers or kind in WITHOUT_MAKERS, f"{on.where} cannot be imported; {_REMEDY}")
            plain = not values.quantized or kind in _ON_INTEGERS
            expect(plain, f"{on.where} computes with quantized integers; put a DequantizeLinear before it")
            take(values, on, makers.get(kind))
