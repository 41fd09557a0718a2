"""Graphs of ONNX: residual sums and joined channels, in floats as onnxruntime computes them, and in integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebpfnn.errors import ModelError
from ebpfnn.importers import loading
from ebpfnn.network.layers import Add, Concat
from ebpfnn.quantize import floatfile
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import FloatAdd, FloatConcat, Network
from ebpfnn.quantize.quantization import quantize

onnx = pytest.importorskip("onnx")
RANDOM = np.random.default_rng(7)
SAMPLES = RANDOM.integers(0, 256, (60, 3, 8, 8)).astype(np.uint8)


def conv(name: str, given: str, outputs: int, inputs: int, constants: list[Any], size: int = 3) -> Any:
    weights = RANDOM.normal(0, 0.4 / size, (outputs, inputs, size, size)).astype(np.float32)
    bias = RANDOM.normal(0, 0.1, outputs).astype(np.float32)
    constants += [onnx.numpy_helper.from_array(each, f"{name}.{kind}") for each, kind in ((weights, "w"), (bias, "b"))]
    pads = [size // 2] * 4
    return onnx.helper.make_node("Conv", [given, f"{name}.w", f"{name}.b"], [name], name=name, pads=pads)


def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(kind, inputs, [output], name=output, **attributes)


def saved(nodes: list[Any], constants: list[Any], values: int, path: Path) -> Path:
    """``nodes`` up to the value "end", [n, ``values``], and a last layer."""
    weights = RANDOM.normal(0, 0.2, (values, 4)).astype(np.float32)
    constants.append(onnx.numpy_helper.from_array(weights, "last"))
    nodes = [*nodes, node("Flatten", ["end"], "flat"), node("MatMul", ["flat", "last"], "logits")]
    given, gives = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", *shape])
        for name, shape in (("x", (3, 8, 8)), ("logits", (4,)))
    )
    graph = onnx.helper.make_graph(nodes, "test", [given], [gives], constants)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=7), path)
    return path


def residual(path: Path) -> Path:
    constants: list[Any] = []
    nodes = [
        conv("a", "x", 6, 3, constants),
        node("Relu", ["a"], "ra"),
        conv("b", "ra", 6, 6, constants),
        node("Add", ["ra", "b"], "sum"),
        node("Relu", ["sum"], "rsum"),
        conv("c", "rsum", 6, 6, constants, size=1),
        node("Add", ["c", "rsum"], "end"),
    ]
    return saved(nodes, constants, 6 * 64, path)


def branched(path: Path) -> Path:
    constants: list[Any] = []
    nodes = [
        conv("a", "x", 4, 3, constants, size=1),
        node("Relu", ["a"], "ra"),
        conv("b", "x", 5, 3, constants),
        node("Relu", ["b"], "rb"),
        node("MaxPool", ["x"], "p", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]),
        conv("c", "p", 2, 3, constants, size=1),
        node("Relu", ["c"], "rc"),
        node("Concat", ["ra", "rb", "rc"], "all", axis=1),
        conv("d", "all", 3, 11, constants),
        node("Concat", ["d", "ra"], "end", axis=-3),
    ]
    return saved(nodes, constants, 7 * 64, path)


@pytest.mark.parametrize("make", [residual, branched])
def test_a_graph_computes_what_onnxruntime_does(make: Any, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    path = make(tmp_path / "graph.onnx")
    network = loading.load(path)
    assert isinstance(network, Network)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"x": (SAMPLES / np.float32(255)).astype(np.float32)})
    found = logits(network, SAMPLES)
    assert np.abs(found - wanted).max() < 1e-4
    integers = quantize(network, SAMPLES)
    from ebpfnn.network import reference

    scores = reference.scores(integers, SAMPLES) * integers.score_scale
    assert np.abs(scores - wanted).max() < 0.1 * np.abs(wanted).max()
    floatfile.save(network, tmp_path / "graph.float.safetensors")
    again = floatfile.load(tmp_path / "graph.float.safetensors")
    assert again.sources == network.sources
    assert np.array_equal(logits(again, SAMPLES), found)


def test_a_sum_is_rounded_once_and_keeps_its_activation(tmp_path: Path) -> None:
    network = loading.load_float(residual(tmp_path / "graph.onnx"))
    assert network.sources == ((-1,), (0,), (0, 1), (2,), (3, 2), (4,))
    first, second = (layer for layer in network.layers if isinstance(layer, FloatAdd))
    assert (first.activation.slope, second.activation.slope) == (0, 1)
    integers = quantize(network, SAMPLES)
    sums = [layer for layer in integers.layers if isinstance(layer, Add)]
    assert all(layer.factors.max() == 1 << 21 for layer in sums)
    assert [layer.requantization.low for layer in sums] == [0, -127]


def test_channels_share_a_scale_where_nothing_else_takes_them(tmp_path: Path) -> None:
    network = loading.load_float(branched(tmp_path / "graph.onnx"))
    assert sum(isinstance(layer, FloatConcat) for layer in network.layers) == 2
    integers = quantize(network, SAMPLES)
    first, second = ((n, layer) for n, layer in enumerate(integers.layers) if isinstance(layer, Concat))
    copied = [
        [layer.keeps(k, *integers.ranges[source + 1]) for k, source in enumerate(integers.takes[number])]
        for number, layer in (first, second)
    ]
    assert copied == [[False, True, True], [True, False]]


def test_values_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    constants: list[Any] = []
    nodes = [conv("a", "x", 6, 3, constants), node("Add", ["a", "x"], "end")]
    with pytest.raises(ModelError, match=r"'end' \(Add\), adds values of 6x8x8 and 3x8x8, which broadcasts; only"):
        loading.load(saved(nodes, constants, 6 * 64, tmp_path / "wrong.onnx"))
    constants = []
    nodes = [conv("a", "x", 3, 3, constants), node("Mul", ["a", "x"], "end")]
    with pytest.raises(ModelError, match=r"\(Mul\), takes several values; only Add, Sum, Sub and Concat can"):
        loading.load(saved(nodes, constants, 3 * 64, tmp_path / "product.onnx"))
    constants = []
    nodes = [conv("a", "x", 3, 3, constants), node("Concat", ["a", "x"], "end", axis=2)]
    with pytest.raises(ModelError, match="joins along another axis than channels"):
        loading.load(saved(nodes, constants, 6 * 64, tmp_path / "rows.onnx"))
