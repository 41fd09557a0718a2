"""Networks that know digits, as ONNX files, and what onnxruntime's own quantization makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnxes import model, node

from ebpfnn.datasets import mnist
from ebpfnn.network.layers import MaxPool, Window
from ebpfnn.quantize.float_reference import forward
from ebpfnn.quantize.floats import Activation, FloatConv2d

IMAGES, LABELS = mnist.read_test()
GIVEN = (IMAGES[:, None] / 255).astype(np.float32)
RANDOM = np.random.default_rng(0)
FILTERS, BIAS = RANDOM.normal(0, 0.4, (8, 1, 3, 3)).astype(np.float32), RANDOM.normal(0, 0.1, 8).astype(np.float32)


def features(slope: float) -> np.ndarray:
    conv = FloatConv2d(FILTERS, BIAS, Window((3, 3), (1, 1), (1, 1, 1, 1)), activation=Activation(slope))
    return forward(MaxPool(Window((2, 2), (2, 2))), forward(conv, GIVEN.astype(np.float64))).reshape(len(GIVEN), -1)


def readout(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last layer that gets nearest to the digits' labels: a network that has learned something."""
    extended = np.concatenate([values, np.ones((len(values), 1))], axis=1)
    wanted = np.eye(10)[LABELS] * 2 - 1
    solved = np.linalg.solve(extended.T @ extended + 5 * np.eye(extended.shape[1]), extended.T @ wanted)
    return solved[:-1].T.astype(np.float32), solved[-1].astype(np.float32)


def convolutional(operator: str = "Relu", **attributes: Any) -> bytes:
    weights, bias = readout(features(attributes.get("alpha", 0)))
    nodes = [
        node("Conv", "x", "w", "b", pads=[1, 1, 1, 1]),
        node(operator, "Conv", **attributes),
        node("MaxPool", operator, kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "MaxPool"),
        node("Gemm", "Flatten", "w2", "b2", transB=1),
    ]
    return model(nodes, {"w": FILTERS, "b": BIAS, "w2": weights, "b2": bias}, ("n", 1, 28, 28))


def averaging() -> bytes:
    """Two convolutions, the second depthwise, padded; averages in between and at the end."""
    depth = RANDOM.normal(0, 0.4, (8, 1, 3, 3)).astype(np.float32)
    last = RANDOM.normal(0, 0.4, (10, 8, 3, 3)).astype(np.float32)
    nodes = [
        node("Conv", "x", "w", "b", pads=[1, 1, 1, 1], strides=[2, 2], out="a"),
        node("Relu", "a"),
        node("AveragePool", "Relu", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "AveragePool", "depth", pads=[1, 1, 1, 1], group=8, out="c"),
        node("Clip", "c", "low", "high"),
        node("Conv", "Clip", "last", out="d"),
        node("GlobalAveragePool", "d"),
        node("Flatten", "GlobalAveragePool"),
    ]
    limits = {"low": np.float32(-0.5), "high": np.float32(0.8)}
    return model(nodes, {"w": FILTERS, "b": BIAS, "depth": depth, "last": last, **limits}, ("n", 1, 28, 28))


def product() -> bytes:
    """MatMul and Add, between which onnxruntime rounds."""
    weights, bias = readout(GIVEN.reshape(len(GIVEN), -1))
    nodes = [node("Flatten", "x"), node("MatMul", "Flatten", "w"), node("Add", "MatMul", "b")]
    return model(nodes, {"w": weights.T.copy(), "b": bias}, ("n", 1, 28, 28))


def quantized(data: bytes, tmp_path: Path, **options: Any) -> bytes:
    """What onnxruntime's own quantization makes of it, by 64 of the digits."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(GIVEN[:64])

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.left, None)
            return None if image is None else {"x": image[None]}

    (tmp_path / "float.onnx").write_bytes(data)
    quantize_static(tmp_path / "float.onnx", tmp_path / "net.onnx", Reader(), **options)
    return (tmp_path / "net.onnx").read_bytes()
