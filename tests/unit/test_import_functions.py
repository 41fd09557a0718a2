"""Activation functions of ONNX, by one node or by several, against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxes import Node, chain, model, node, run

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.network import reference
from ebpfnn.network.layers import Conv2d, Dense
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import Activation, FloatConv2d
from ebpfnn.quantize.quantization import quantize

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(1)
PARTS = {
    "k": RANDOM.normal(size=(4, 1, 3, 3)).astype(np.float32),
    "kb": RANDOM.normal(size=4).astype(np.float32),
    "w": RANDOM.normal(size=(5, 36)).astype(np.float32),
    "slopes": np.array([0.0, 0.1, 0.5, 1.0], np.float32).reshape(4, 1, 1),
    "negatives": -np.array([0.0, 0.1, 0.5, 1.0], np.float32).reshape(4, 1, 1),
    "small": np.float32(0.02),
    "twenty": np.float32(20),
    "one": np.float32(1),
    "half": np.float32(0.5),
    "three": np.float32(3),
    "six": np.float32(6),
    "zero": np.float32(0),
    "root": np.float32(np.sqrt(2)),
    "cubic": np.float32(0.044715),
    "factor": np.float32(np.sqrt(2 / np.pi)),
    "quick": np.float32(1.702),
}
SAMPLES = np.random.default_rng(2).integers(0, 256, (200, 8, 8)).astype(np.uint8)

SINGLE: dict[str, dict[str, Any]] = {
    "Tanh": {},
    "Sigmoid": {},
    "HardSigmoid": {"alpha": 0.3},
    "HardSwish": {},
    "Gelu": {"approximate": "tanh"},
    "Elu": {"alpha": 0.7},
    "Selu": {},
    "Celu": {"alpha": 0.5},
    "Softplus": {},
    "Softsign": {},
    "Mish": {},
    "Erf": {},
    "Abs": {},
    "LeakyRelu": {"alpha": -0.3},
}


def around(*middle: Node, last: str) -> list[Node]:
    """A convolution, whose output is ``c``, what comes behind, a pool and a dense layer."""
    return [
        node("Conv", "x", "k", "kb", out="c"),
        *middle,
        node("MaxPool", last, out="p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "p", out="f"),
        node("Gemm", "f", "w", out="y", transB=1),
    ]


def held(tmp_path: Path, nodes: list[Node], depth: int = 3, *, opset: int = 20) -> Any:
    """The float network, after it and its integers were held to onnxruntime."""
    data = model(nodes, PARTS, opset=opset)
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load_float(tmp_path / "net.onnx")
    wanted = run(data, SAMPLES[:, None].astype(np.float32) / 255)
    np.testing.assert_allclose(logits(network, SAMPLES), wanted, rtol=1e-3, atol=1e-3)
    integers = quantize(network, SAMPLES)
    assert len(integers.layers) == depth
    found = reference.scores(integers, SAMPLES) * integers.score_scale
    assert np.abs(found - wanted).mean() < 0.05 * wanted.std()
    return integers


@pytest.mark.parametrize("operator", SINGLE)
def test_one_node(operator: str, tmp_path: Path) -> None:
    """What may fall is computed in front of the pool only where the pool comes behind it."""
    held(tmp_path, around(node(operator, "c", out="a", **SINGLE[operator]), last="a"))


COMPOSED: dict[str, list[Node]] = {
    "SiLU": [node("Sigmoid", "c", out="s"), node("Mul", "c", "s", out="a")],
    "quick GELU": [node("Mul", "c", "quick", out="q"), node("Sigmoid", "q", out="s"), node("Mul", "s", "c", out="a")],
    "hard-swish by HardSigmoid": [
        node("HardSigmoid", "c", out="s", alpha=1 / 6, beta=0.5),
        node("Mul", "c", "s", out="a"),
    ],
    "hard-swish by Clip": [
        node("Add", "c", "three", out="t"),
        node("Clip", "t", "zero", "six", out="r"),
        node("Mul", "c", "r", out="m"),
        node("Div", "m", "six", out="a"),
    ],
    "GELU": [
        node("Div", "c", "root", out="d"),
        node("Erf", "d", out="e"),
        node("Add", "e", "one", out="o"),
        node("Mul", "c", "o", out="m"),
        node("Mul", "m", "half", out="a"),
    ],
    "GELU by tanh": [
        node("Pow", "c", "three", out="u"),
        node("Mul", "u", "cubic", out="v"),
        node("Add", "c", "v", out="z"),
        node("Mul", "z", "factor", out="t"),
        node("Tanh", "t", out="h"),
        node("Add", "h", "one", out="o"),
        node("Mul", "c", "half", out="g"),
        node("Mul", "g", "o", out="a"),
    ],
    "Mish": [node("Softplus", "c", out="s"), node("Tanh", "s", out="t"), node("Mul", "c", "t", out="a")],
    "SiLU by Constant": [
        node("Constant", out="k1", value_float=1.0),
        node("Neg", "c", out="n"),
        node("Exp", "n", out="e"),
        node("Add", "e", "k1", out="d"),
        node("Div", "c", "d", out="a"),
    ],
    "square": [node("Mul", "c", "c", out="a")],
    "Softplus that bends early": [
        node("Mul", "c", "three", out="t"),
        node("Greater", "t", "twenty", out="g"),
        node("Softplus", "t", out="s"),
        node("Div", "s", "three", out="d"),
        node("Where", "g", "c", "d", out="a"),
    ],
    "a LeakyRelu that falls": [
        node("Greater", "c", "zero", out="g"),
        node("Neg", "c", out="n"),
        node("Where", "g", "c", "n", out="a"),
    ],
}
NAMES = {
    "SiLU": "silu(1)",
    "quick GELU": "silu(1.702)",
    "hard-swish by HardSigmoid": "hardswish",
    "hard-swish by Clip": "hardswish",
    "GELU": "gelu",
    "GELU by tanh": "gelu_tanh",
    "Mish": "mish",
    "SiLU by Constant": "silu(1)",
    "square": "square",
    "Softplus that bends early": "scale(3, 0) then softplus then scale(0.333333, 0)",
    "a LeakyRelu that falls": "abs",
}
STRAIGHT: dict[str, tuple[list[Node], Activation]] = {
    "LeakyRelu by Where": (
        [node("Mul", "c", "half", out="h"), node("Less", "c", "zero", out="l"), node("Where", "l", "h", "c", out="a")],
        Activation(0.5),
    ),
    "LeakyRelu with a limit": (
        [
            node("Relu", "c", out="r"),
            node("Min", "r", "one", out="m"),
            node("Neg", "c", out="n"),
            node("Relu", "n", out="o"),
            node("Mul", "o", "half", out="h"),
            node("Sub", "m", "h", out="a"),
        ],
        Activation(0.5, high=1.0),
    ),
    "PRelu of Keras": (
        [
            node("Relu", "c", out="r"),
            node("Neg", "c", out="n"),
            node("Relu", "n", out="o"),
            node("Mul", "o", "negatives", out="h"),
            node("Add", "r", "h", out="a"),
        ],
        Activation(1.0, slopes=(0.0, 0.1, 0.5, 1.0)),
    ),
}
ANOTHER: dict[str, list[Node]] = {
    "a product of functions": [node("Tanh", "c", out="t"), node("Mul", "c", "t", out="a")],
    "a step at a small value": [node("Greater", "c", "small", out="g"), node("Where", "g", "c", "zero", out="a")],
    "a step at a large value": [node("Greater", "c", "twenty", out="g"), node("Where", "g", "zero", "c", out="a")],
}
"""Functions that no layer has, some of them near to one."""


@pytest.mark.parametrize("name", COMPOSED)
def test_several_nodes_that_are_one_function(name: str, tmp_path: Path) -> None:
    integers = held(tmp_path, around(*COMPOSED[name], last="a"))
    first = integers.layers[0]
    assert isinstance(first, Conv2d)
    assert first.requantization.function == NAMES[name]


@pytest.mark.parametrize("name", STRAIGHT)
def test_several_nodes_that_are_straight(name: str, tmp_path: Path) -> None:
    nodes, wanted = STRAIGHT[name]
    held(tmp_path, around(*nodes, last="a"))
    first = importers.load_float(tmp_path / "net.onnx").layers[0]
    assert isinstance(first, FloatConv2d)
    assert first.activation.high == wanted.high
    np.testing.assert_allclose(first.activation.slope, wanted.slope, rtol=1e-6)
    np.testing.assert_allclose(first.activation.slopes, wanted.slopes, rtol=1e-6)


@pytest.mark.parametrize("name", ANOTHER)
def test_another_function_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(model(around(*ANOTHER[name], last="a"), PARTS, opset=20))
    with pytest.raises(ModelError, match=r"net\.onnx: node [0-9]+ of [0-9]+, 'the .*; "):
        importers.load_float(tmp_path / "net.onnx")


@pytest.mark.parametrize("operator", ["Sub", "Add"])
def test_a_sum_of_functions_is_none_of_them(operator: str, tmp_path: Path) -> None:
    """The squares go with slopes of their own, so the values at -1 and 1 do not tell the rest."""
    nodes = [node("Mul", "c", "c", out="q"), node("Mul", "q", "slopes", out="h"), node("Relu", "c", out="r")]
    data = model(around(*nodes, node(operator, "r", "h", out="a"), last="a"), PARTS, opset=20)
    (tmp_path / "net.onnx").write_bytes(data)
    wanted = run(data, SAMPLES[:, None].astype(np.float32) / 255)
    np.testing.assert_allclose(logits(importers.load_float(tmp_path / "net.onnx"), SAMPLES), wanted, rtol=1e-3, atol=1e-3)


def test_a_function_that_falls_stays_behind_a_pool(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x", "k", "kb", out="c"),
        node("MaxPool", "c", out="p", kernel_shape=[2, 2], strides=[2, 2]),
        node("HardSwish", "p", out="a"),
        node("Flatten", "a", out="f"),
        node("Gemm", "f", "w", out="y", transB=1),
    ]
    held(tmp_path, nodes, 4)
    nodes[2] = node("Tanh", "p", out="a")
    held(tmp_path, nodes, 3)


def test_a_slope_for_each_channel(tmp_path: Path) -> None:
    integers = held(tmp_path, around(node("PRelu", "c", "slopes", out="a"), last="a"))
    by = integers.layers[0].requantization
    np.testing.assert_allclose(by.negative / by.positive, PARTS["slopes"].reshape(-1), atol=1e-6)


def test_functions_after_one_another_are_one_table(tmp_path: Path) -> None:
    middle = [node("Tanh", "c", out="t"), node("Relu", "t", out="r"), node("Sigmoid", "r", out="a")]
    integers = held(tmp_path, around(*middle, last="a"))
    assert integers.layers[0].requantization.function == "tanh then leaky(0) then sigmoid"


def test_a_sigmoid_in_the_middle_and_one_at_the_end(tmp_path: Path) -> None:
    """The last one stands for two classes by the logit; the other one is computed."""
    steps = [("Flatten", [], {}), ("Gemm", ["m"], {}), ("Sigmoid", [], {}), ("Gemm", ["n"], {}), ("Sigmoid", [], {})]
    parts = {"m": RANDOM.normal(size=(64, 8)).astype(np.float32), "n": RANDOM.normal(size=(8, 1)).astype(np.float32)}
    data = model(chain(*steps), parts)
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load_float(tmp_path / "net.onnx")
    integers = quantize(network, SAMPLES)
    assert network.labels == ("0", "1")
    first = integers.layers[0]
    assert isinstance(first, Dense)
    assert first.requantization.function == "sigmoid"
    wanted = run(data, SAMPLES[:, None].astype(np.float32) / 255).reshape(-1)
    clear = np.abs(wanted - 0.5) > 0.05
    assert (reference.labels(integers, SAMPLES) == (wanted > 0.5))[clear].all()


def test_what_computes_a_function_of_its_own_branches(tmp_path: Path) -> None:
    middle = [node("Sin", "c", out="s"), node("Mul", "c", "s", out="a")]
    (tmp_path / "net.onnx").write_bytes(model(around(*middle, last="a"), PARTS))
    with pytest.raises(ModelError, match=r"\(Sin\), cannot be imported"):
        importers.load(tmp_path / "net.onnx")
