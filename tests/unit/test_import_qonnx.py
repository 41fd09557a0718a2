"""QONNX's Quant and BipolarQuant, as Brevitas and QKeras write them, against their definition in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxes import Node, model, node

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.quantization import quantize

onnx = pytest.importorskip("onnx")

DOMAIN = "qonnx.custom_op.general"


def quant(given: str, out: str, bits: str = "four", operator: str = "Quant", scale: str = "scale", **attributes: Any) -> Node:
    return Node(operator, (given, scale, "zero", bits), (out,), {"domain": DOMAIN, **attributes})


def rounded(given: Any, scale: Any, bits: int, signed: int = 1, narrow: int = 0) -> Any:
    """As the definition has it."""
    low, high = (-(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1 - narrow)
    return np.clip(np.round(given / scale), low, high) * scale


PARTS = {
    "zero": np.float32(0),
    "four": np.float32(4),
    "wide": np.float32(16),
    "scale": np.float32(0.25),
    "third": np.float32(1 / 255),
    "eight": np.float32(8),
    "each": np.array([[0.1, 0.25, 0.3, 0.05, 0.2]], np.float32),
    "w": np.random.default_rng(1).normal(size=(16, 5)).astype(np.float32),
    "v": np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32),
}


def network_of(*, quantized_input: bool) -> list[Node]:
    first = [quant("x", "xq", "eight", scale="third", signed=0)] if quantized_input else []
    return [
        *first,
        quant("w", "wq", scale="each", narrow=1),
        node("MatMul", "xq" if quantized_input else "x", "wq", out="m"),
        node("Relu", "m", out="r"),
        quant("r", "rq", signed=0),
        quant("v", "vq", "four"),
        node("MatMul", "rq", "vq", out="y"),
    ]


def computed(samples: Any) -> Any:
    hidden = rounded(np.maximum(samples / 255 @ rounded(PARTS["w"], PARTS["each"], 4, narrow=1), 0), 0.25, 4, signed=0)
    return hidden @ rounded(PARTS["v"], 0.25, 4)


def written(path: Path, nodes: list[Node], parts: dict[str, Any] | None = None) -> Path:
    path.write_bytes(model(nodes, {**PARTS, **(parts or {})}, ("n", 16)))
    return path


SAMPLES = np.random.default_rng(3).integers(0, 256, (200, 16)).astype(np.uint8)


def test_a_network_that_is_quantized_throughout_keeps_its_integers(tmp_path: Path) -> None:
    network = importers.load(written(tmp_path / "net.onnx", network_of(quantized_input=True)))
    assert isinstance(network, QuantizedNetwork)
    found = reference.scores(network, SAMPLES) * network.score_scale
    np.testing.assert_allclose(found, computed(SAMPLES), atol=1e-6 + 0.25 * 0.25 * 7)
    assert (np.abs(found - computed(SAMPLES)) < 1e-6).mean() > 0.98  # a half is rounded to even there, and up here


def test_an_input_in_floats_leaves_weights_and_scales(tmp_path: Path) -> None:
    network = importers.load_float(written(tmp_path / "net.onnx", network_of(quantized_input=False)))
    assert "quantized in part" in network.card["import"]
    integers = quantize(network, SAMPLES)
    found = reference.scores(integers, SAMPLES) * integers.score_scale
    assert (np.abs(found - computed(SAMPLES)) < 1e-4).mean() > 0.98
    assert [layer.requantization.high for layer in integers.layers[:1]] == [15]  # type: ignore[union-attr]


def test_weights_of_one_bit(tmp_path: Path) -> None:
    nodes = [Node("BipolarQuant", ("w", "scale"), ("wq",), {"domain": DOMAIN}), node("MatMul", "x", "wq")]
    network = importers.load_float(written(tmp_path / "net.onnx", nodes))
    wanted = SAMPLES / 255 @ np.where(PARTS["w"] >= 0, 0.25, -0.25)
    np.testing.assert_allclose(logits(network, SAMPLES), wanted, atol=1e-4)


REFUSED = {
    "Trunc": ([quant("x", "xq", operator="Trunc"), node("MatMul", "xq", "w")], {}, r"\(Trunc\), cannot be imported: of QONNX"),
    "BipolarQuant": (
        [quant("x", "xq", operator="BipolarQuant"), node("MatMul", "xq", "w")],
        {},
        r"\(BipolarQuant\), cannot be imported: of QONNX's operators only Quant, and BipolarQuant of weights",
    ),
    "rounding": (
        [quant("x", "xq", rounding_mode="FLOOR"), node("MatMul", "xq", "w")],
        {},
        r"\(Quant\), rounds by FLOOR; only ROUND and HALF_EVEN",
    ),
    "no bits": ([quant("x", "xq", "zero"), node("MatMul", "xq", "w")], {}, r"\(Quant\), has 0.0 bits; give 1 to 32"),
    "scale": (
        [quant("w", "wq"), node("MatMul", "x", "wq")],
        {"scale": np.float32(-1)},
        r"\(Quant\), has a scale that is not a positive number",
    ),
    "axes": (
        [quant("w", "wq"), node("MatMul", "x", "wq")],
        {"scale": np.ones((400, 16, 5), np.float32)},
        r"\(Quant\), has a scale that does not go with its weights",
    ),
    "channels last": (
        [Node("Conv", ("x", "w"), ("y",), {"domain": "qonnx.custom_op.channels_last"})],
        {},
        r"\(Conv\), is of the domain 'qonnx.custom_op.channels_last'; export with ONNX's own operators",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind: str, tmp_path: Path) -> None:
    nodes, parts, fact = REFUSED[kind]
    with pytest.raises(ModelError, match=r"net\.onnx: node .*" + fact) as caught:
        importers.load(written(tmp_path / "net.onnx", nodes, parts))
    assert "\n" not in str(caught.value)
