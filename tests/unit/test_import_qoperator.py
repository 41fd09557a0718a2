"""Graphs of onnxruntime whose nodes do several things at once, or from which it took a ReLU: they compute what it does."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digitnets import GIVEN, IMAGES, averaging, convolutional, product, quantized
from onnxes import chain, model, run

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers import ImportOptions
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.tabular import Rows, Tabular

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

GRAPHS = {
    "convolutional": lambda: convolutional(),
    "leaky": lambda: convolutional("LeakyRelu", alpha=0.125),
    "averaging": averaging,
    "product": product,
}


def kinds(data: bytes) -> set[str]:
    import onnx

    return {each.op_type for each in onnx.load_model_from_string(data).graph.node}


def imported(tmp_path: Path, data: bytes) -> Any:
    (tmp_path / "net.onnx").write_bytes(data)
    return importers.load(tmp_path / "net.onnx")


@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_operators_on_integers(graph: str, per_channel: bool, tmp_path: Path) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType

    options = {"quant_format": QuantFormat.QOperator, "activation_type": QuantType.QUInt8, "per_channel": per_channel}
    data = quantized(GRAPHS[graph](), tmp_path, **options)
    assert any(kind.startswith(("QLinear", "QGemm")) for kind in kinds(data))
    network = imported(tmp_path, data)
    assert isinstance(network, QuantizedNetwork)
    wanted, found = run(data, GIVEN), reference.scores(network, IMAGES) * network.score_scale
    assert np.abs(found - wanted).mean() < 0.03 * wanted.std()
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.97


@pytest.mark.parametrize("graph", ["convolutional", "product"])
def test_values_that_are_quantized_as_they_come(graph: str, tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    (tmp_path / "float.onnx").write_bytes(GRAPHS[graph]())
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "net.onnx")
    data = (tmp_path / "net.onnx").read_bytes()
    assert "DynamicQuantizeLinear" in kinds(data)
    network = importers.load_float(tmp_path / "net.onnx")
    wanted, found = run(data, GIVEN), logits(network, IMAGES)
    assert np.abs(found - wanted).mean() < 0.03 * wanted.std()
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.97


@pytest.mark.parametrize(
    "activation", [("Relu", {}), ("LeakyRelu", {"alpha": 0.3}), ("Tanh", {}), ("HardSigmoid", {"alpha": 0.3})]
)
def test_a_graph_that_onnxruntime_optimized(activation: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    import onnxruntime

    random = np.random.default_rng(1)
    steps = [
        ("Conv", ["k", "kb"], {"strides": [2, 2]}),
        (*activation[:1], [], activation[1]),
        ("Flatten", [], {}),
        ("Gemm", ["w"], {"transB": 1}),
        (*activation[:1], [], activation[1]),
        ("Gemm", ["v"], {"transB": 1}),
    ]
    shapes = {"k": (4, 1, 3, 3), "kb": (4,), "w": (9, 4 * 13 * 13), "v": (5, 9)}
    parts = {name: random.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}
    data = model(chain(*steps), parts, ("n", 1, 28, 28))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "net.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    assert "FusedConv" in kinds((tmp_path / "net.onnx").read_bytes())
    np.testing.assert_allclose(logits(importers.load_float(tmp_path / "net.onnx"), IMAGES), run(data, GIVEN), atol=1e-4)


ROWS = np.random.default_rng(3).normal([0, 5, -3, 0], [1, 3, 0.5, 2], (400, 4)).astype(np.float32)


@pytest.mark.parametrize("kind", ["QInt8", "QUInt8", "QInt16", "QUInt16"])
def test_a_quantization_that_stands_for_a_relu(kind: str, tmp_path: Path) -> None:
    """onnxruntime takes a Relu out where the quantization behind it leaves nothing below 0."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        left = iter(ROWS[:100])

        def get_next(self) -> dict[str, np.ndarray] | None:
            row = next(self.left, None)
            return None if row is None else {"x": row[None]}

    random = np.random.default_rng(4)
    parts = {
        name: random.normal(size=shape).astype(np.float32) for name, shape in {"a": (12, 4), "b": (8, 12), "c": (3, 8)}.items()
    }
    steps = [("Gemm", ["a"], {"transB": 1}), ("Relu", [], {}), ("Gemm", ["b"], {"transB": 1}), ("Relu", [], {})]
    (tmp_path / "float.onnx").write_bytes(model(chain(*steps, ("Gemm", ["c"], {"transB": 1})), parts, ("n", 4)))
    options = {"activation_type": getattr(QuantType, kind), "extra_options": {"UseQDQContribOps": False}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_static(tmp_path / "float.onnx", tmp_path / "net.onnx", Reader(), **options)
    data = (tmp_path / "net.onnx").read_bytes()
    assert "Relu" not in kinds(data)
    assert "QuantizeLinear" in kinds(data)
    for count, layers in ((100, 3), (400, 4)):  # the file limits what is beyond its first 100 rows: that takes a layer
        rows = Rows(ROWS[:count].astype(np.float64), ("a", "b", "c", "d"))
        network = importers.read(tmp_path / "net.onnx", ImportOptions(tabular=True, rows=lambda _, __, rows=rows: rows))
        assert isinstance(network, Tabular)
        assert len(network.network.layers) == layers
        wanted, found = run(data, ROWS[:count]), network.scores(rows.values)
        assert np.abs(found - wanted).mean() < 0.05 * wanted.std()
        assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.95


def test_integers_whose_scale_is_not_known_are_refused(tmp_path: Path) -> None:
    steps = [
        ("Cast", [], {"to": 2}),
        ("Flatten", [], {}),
        ("MatMulInteger", ["w"], {}),
        ("Cast", [], {"to": 1}),
    ]
    data = model(chain(*steps), {"w": np.ones((64, 3), np.int8)})
    with pytest.raises(ModelError, match=r"\(MatMulInteger\), computes in integers of its own; quantize with QuantFormat\.QDQ"):
        imported(tmp_path, data)
