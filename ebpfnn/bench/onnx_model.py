"""A float network in onnxruntime, on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.layers import MaxPool, Shape
from ..quantize.floats import FloatConv2d, FloatDense
from .plain import PlainLayer

INPUT, OUTPUT = "samples", "logits"
_OPSET, _IR_VERSION, _ERRORS_ONLY = 17, 8, 3
_Operator = tuple[str, dict[str, Any], list[NDArray[np.float32]]]
"""Its kind, attributes and parameters."""


def open_session(layers: Sequence[PlainLayer], shape: Shape, classes: int) -> Any:
    """:func:`session_of` the layers: its input is one sample, float32 [1, *shape], its output float32 [1, classes]."""
    return session_of(_build(layers, shape, classes))


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


def _build(layers: Sequence[PlainLayer], shape: Shape, classes: int) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []
    name = INPUT
    for kind, attributes, parameters in (operator for layer in layers for operator in _operators(layer)):
        into = f"{len(nodes)}.{kind}"
        names = [f"{into}.{place}" for place in range(len(parameters))]
        constants += [numpy_helper.from_array(array, each) for array, each in zip(parameters, names, strict=True)]
        nodes.append(helper.make_node(kind, [name, *names], [into], **attributes))
        name = into
    nodes.append(helper.make_node("Flatten", [name], [OUTPUT]))
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, *shape])]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, classes])]
    graph = helper.make_graph(nodes, "floats", inputs, outputs, constants)
    return helper.make_model(graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)])


def _operators(layer: PlainLayer) -> list[_Operator]:
    if isinstance(layer, MaxPool):
        return [("MaxPool", _moved(layer), [])]
    parameters, slope = [layer.weights, layer.bias], layer.activation.slope
    if isinstance(layer, FloatDense):
        found: list[_Operator] = [("Flatten", {}, []), ("Gemm", {"transB": 1}, parameters)]
    else:
        found = [("Conv", {**_moved(layer), "group": layer.groups}, parameters)]
    if slope != 1:
        found.append(("LeakyRelu", {"alpha": slope}, []) if slope else ("Relu", {}, []))
    return found


def _moved(layer: FloatConv2d | MaxPool) -> dict[str, Any]:
    return {"kernel_shape": layer.window.kernel, "strides": layer.window.stride, "pads": layer.window.padding}
