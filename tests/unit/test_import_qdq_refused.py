"""Quantized ONNX files that cannot be imported: each is refused in one line that names the node."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from onnxes import hand_made, model, node, run

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers import ImportOptions
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.layers import Dense
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.quantization import quantize


def imported(tmp_path: Path, data: bytes, options: ImportOptions | None = None) -> QuantizedNetwork:
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load(tmp_path / "net.onnx", options)
    assert isinstance(network, QuantizedNetwork)
    return network


class Parts:
    """:func:`hand_made`, to be broken."""

    def __init__(self) -> None:
        import onnx

        self.model = onnx.load_model_from_string(hand_made())
        self.nodes = self.model.graph.node

    def named(self, output: str) -> Any:
        return next(each for each in self.nodes if each.output[0] == output)

    def hold(self, name: str, array: Any) -> None:
        from onnx import numpy_helper

        for held in [each for each in self.model.graph.initializer if each.name == name]:
            self.model.graph.initializer.remove(held)
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))


def weights_in_floats(parts: Parts) -> None:
    parts.named("Conv").input[1] = "wf"
    parts.hold("wf", np.ones((4, 1, 3, 3), np.float32))


def no_input(parts: Parts) -> None:
    parts.named("Conv").input[0] = "x"
    del parts.nodes[0:2]


def nothing_between(parts: Parts) -> None:
    parts.named("Flatten").input[0] = "Conv"
    for name in ("hq", "hd"):
        parts.nodes.remove(parts.named(name))


def two_scales(parts: Parts) -> None:
    parts.named("hd").input[1] = "os"


def another_axis(parts: Parts) -> None:
    parts.hold("ws", np.full(3, 0.01, np.float32))
    parts.named("wd").attribute[0].i = 2


def sixteen_bits(parts: Parts) -> None:
    for name in ("hq", "hd"):
        parts.named(name).input[2] = "wide"
    parts.hold("wide", np.uint16(0))
    parts.model.opset_import[0].version, parts.model.ir_version = 21, 10


def a_huge_bias(parts: Parts) -> None:
    parts.hold("b", np.full(4, 1e9, np.float32))


def a_negative_scale(parts: Parts) -> None:
    parts.hold("hs", np.float32(-1))


def integers_computed(parts: Parts) -> None:
    parts.named("Flatten").input[0] = "s"
    parts.named("hd").CopyFrom(node("Relu", "hq", out="s").made())


def quantized_twice(parts: Parts) -> None:
    parts.named("hd").CopyFrom(node("QuantizeLinear", "hq", "hs", "hz", out="hd").made())


REFUSED: dict[Callable[[Parts], None], str] = {
    two_scales: r"\(DequantizeLinear\), has another scale or zero point than the QuantizeLinear before it; make th",
    another_axis: r"\(Conv\), has weights quantized along another axis than its outputs; quantize per tensor or per output",
    a_huge_bias: r"\(Conv\), has a bias of [0-9.e+]+ steps, past int32; quantize it again",
    a_negative_scale: r"\(QuantizeLinear\), has a scale that is not a positive number",
    integers_computed: r"\(Relu\), computes with quantized integers; put a DequantizeLinear before it",
    quantized_twice: r"\(QuantizeLinear\), quantizes values that are quantized already; put a DequantizeLinear before it",
}


IN_PART: dict[Callable[[Parts], None], str] = {
    sixteen_bits: r"is quantized in part \(node .* \(QuantizeLinear\), quantizes to more than 8 bits\), so it is quan",
    weights_in_floats: r"is quantized in part \(node .* \(Conv\), has weights in floats, in a graph whose values are quan",
    no_input: r"it is quantized in part \(node .* \(Conv\), takes an input that nothing quantizes\)",
    nothing_between: r"\(Gemm\), takes what node 4 of 9, 'the Conv [0-9]+' \(Conv\) gives, which nothing quantizes\), so it is",
}


@pytest.mark.parametrize("change", IN_PART, ids=lambda change: change.__name__)
def test_what_is_quantized_in_part_is_quantized_here_with_its_own_weights(
    change: Callable[[Parts], None], tmp_path: Path
) -> None:
    parts = Parts()
    change(parts)
    data = parts.model.SerializeToString()
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load_float(tmp_path / "net.onnx")
    assert re.search(IN_PART[change], network.card["import"])
    samples = np.random.default_rng(2).integers(0, 256, (50, 28, 28)).astype(np.uint8)
    wanted = run(data, samples[:, None].astype(np.float32) / 255, plain=True)
    found = logits(network, samples)
    ends = -30 * 0.4, 225 * 0.4  # of the scores that the graph rounds, in steps of 0.4
    assert np.abs(np.clip(found, *ends) - wanted).max() < 1
    integers = quantize(network, samples)
    dense = integers.layers[-1]
    assert isinstance(dense, Dense)
    held = {each.name: numpy_helper.to_array(each) for each in parts.model.graph.initializer}["w2"]
    np.testing.assert_array_equal(dense.weights, np.maximum(held, -127))
    assert (reference.labels(integers, samples) == wanted.argmax(axis=1)).mean() >= 0.9


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_graphs_that_cannot_be_imported(change: Callable[[Parts], None], tmp_path: Path) -> None:
    parts = Parts()
    change(parts)
    (tmp_path / "net.onnx").write_bytes(parts.model.SerializeToString())
    with pytest.raises(ModelError, match=r"net\.onnx: node .*" + REFUSED[change]) as caught:
        importers.load(tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


def test_fewer_bits_of_the_input(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is quantized for pixels of 8 bits; only a network in floats can be given fewer"):
        imported(tmp_path, hand_made(), ImportOptions(bits=1, thresholds=(128,)))


def test_an_input_that_no_layer_can_quantize(tmp_path: Path) -> None:
    """Flat values would take a layer of as many weights squared."""
    nodes = [
        node("QuantizeLinear", "x", "s", "z", out="q"),
        node("DequantizeLinear", "q", "s", "z", out="d"),
        node("DequantizeLinear", "w", "s", out="wd"),
        node("Gemm", "d", "wd", transB=1),
    ]
    held = {"s": np.float32(0.1), "z": np.uint8(5), "w": np.ones((2, 1100), np.int8)}
    with pytest.raises(ModelError, match=r"\(QuantizeLinear\), rounds 1100 flat values once more, which takes as many weights"):
        imported(tmp_path, model(nodes, held, ("n", 1100)))
    small = imported(tmp_path, model(nodes, {**held, "w": np.ones((2, 10), np.int8)}, ("n", 10)))
    given = np.random.default_rng(0).integers(0, 256, (50, 10)).astype(np.uint8)
    real = (np.clip(np.rint(given / 255 / 0.1) + 5, 0, 255) - 5) * 0.1
    found = reference.scores(small, given) * small.score_scale
    assert np.abs(found[:, 0] - 0.1 * real.sum(axis=1)).max() < 0.1 * 0.1 + 1e-6
