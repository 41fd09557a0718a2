"""A float network in onnxruntime, on one thread."""

from __future__ import annotations

from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.graph import SAMPLE
from ..network.layers import MaxPool, Shape
from ..quantize.floats import Activation, FloatConv2d, FloatDense
from .plain import ALIKE, Plain, PlainAdd, PlainConcat, PlainError, PlainLayer

INPUT, OUTPUT = "samples", "logits"
_OPSET, _IR_VERSION, _ERRORS_ONLY = 17, 8, 3
_Operator = tuple[str, dict[str, Any], list[NDArray[np.float32]]]
"""Its kind, attributes and parameters."""


def open_session(network: Plain, shape: Shape, classes: int) -> Any:
    """:func:`session_of` the layers: its input is one sample, float32 [1, *shape], its output float32 [1, classes]."""
    return session_of(_build(network, shape, classes))


def session_of(model: Any) -> Any:
    """An ``onnxruntime.InferenceSession`` with every optimization, which computes in the calling thread alone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def bind(session: Any, sample: NDArray[np.float32], scores: NDArray[np.float32]) -> Any:
    """A binding of one sample, float32 [1, ...], and of the memory, float32 [classes], that its logits go into."""
    binding = session.io_binding()
    binding.bind_input(INPUT, "cpu", 0, np.float32, sample.shape, sample.ctypes.data)
    binding.bind_output(OUTPUT, "cpu", 0, np.float32, (1, len(scores)), scores.ctypes.data)
    return binding


class _Nodes:
    """Nodes and constants of a graph, as they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: _Operator, *given: str, output: str = "") -> str:
        """Adds an operator over ``given``; the name of what it gives."""
        from onnx import helper, numpy_helper

        kind, attributes, parameters = operator
        into = output or f"{len(self.nodes)}.{kind}"
        names = [f"{into}.{place}" for place in range(len(parameters))]
        self.constants += [numpy_helper.from_array(array, each) for array, each in zip(parameters, names, strict=True)]
        self.nodes.append(helper.make_node(kind, [*given, *names], [into], **attributes))
        return into

    def run(self, operators: list[_Operator], name: str) -> str:
        """Adds operators one after the other."""
        for operator in operators:
            name = self.add(operator, name)
        return name

    def layer(self, layer: PlainLayer, given: list[str]) -> str:
        """Adds a layer over ``given``."""
        if isinstance(layer, PlainAdd):
            total = self.add(("Add", {}, []), *map(self._times, given, layer.factors))
            return self.run([*_moved_by(layer.bias), *_behind(layer.activation)], total)
        if isinstance(layer, PlainConcat):
            scaled = map(self._times, given, layer.factors)
            parts = [self.run(_moved_by(bias), name) for name, bias in zip(scaled, layer.biases, strict=True)]
            return self.run(_behind(layer.activation), self.add(("Concat", {"axis": 1}, []), *parts))
        if isinstance(layer, PlainError):
            one, other = (self.add(("Flatten", {}, []), name) for name in given)
            apart = self.add(("Sub", {}, []), one, self._times(other, layer.ratio))
            error = self.add(("ReduceSumSquare", {"axes": [1]}, []), apart)
            return self._times(error, layer.factor)
        return self.run(_operators(layer), given[0])

    def _times(self, name: str, factor: float) -> str:
        return name if isclose(factor, 1, rel_tol=ALIKE) else self.add(("Mul", {}, [np.array([factor], np.float32)]), name)


def _build(network: Plain, shape: Shape, classes: int) -> Any:
    from onnx import TensorProto, helper

    found, values = _Nodes(), {SAMPLE: INPUT}
    for number, (layer, taken) in enumerate(zip(network.layers, network.takes, strict=True)):
        values[number] = found.layer(layer, [values[source] for source in taken])
    found.add(("Flatten", {}, []), values[len(network.layers) - 1], output=OUTPUT)
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, *shape])]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, classes])]
    graph = helper.make_graph(found.nodes, "floats", inputs, outputs, found.constants)
    return helper.make_model(graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)])


def _moved_by(bias: float) -> list[_Operator]:
    return [("Add", {}, [np.array([bias], np.float32)])] if bias else []


def _behind(activation: Activation) -> list[_Operator]:
    if activation.slope == 1:
        return []
    return [("LeakyRelu", {"alpha": activation.slope}, []) if activation.slope else ("Relu", {}, [])]


def _operators(layer: FloatDense | FloatConv2d | MaxPool) -> list[_Operator]:
    if isinstance(layer, MaxPool):
        return [("MaxPool", _moved(layer), [])]
    parameters = [layer.weights, layer.bias]
    if isinstance(layer, FloatDense):
        found: list[_Operator] = [("Flatten", {}, []), ("Gemm", {"transB": 1}, parameters)]
    else:
        found = [("Conv", {**_moved(layer), "group": layer.groups}, parameters)]
    return [*found, *_behind(layer.activation)]


def _moved(layer: FloatConv2d | MaxPool) -> dict[str, Any]:
    return {"kernel_shape": layer.window.kernel, "strides": layer.window.stride, "pads": layer.window.padding}
