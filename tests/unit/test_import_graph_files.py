"""Files whose graphs branch and join, as exporters wrote them: what PyTorch and onnxruntime compute of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graphfiles import FILES, FLOATS, QUANTIZED, samples, wanted
from onnxes import run
from oracle import arithmetic

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers import ImportOptions
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.layers import Add, Concat
from ebpfnn.quantize import floatfile
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import FloatAdd, FloatConcat
from ebpfnn.quantize.quantization import quantize


@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
@pytest.mark.parametrize("name", FLOATS)
def test_floats_are_those_of_pytorch(name: str, suffix: str) -> None:
    if suffix == "onnx":
        pytest.importorskip("onnx")
    network = importers.load_float(FILES / f"{name}.{suffix}")
    held = samples(name).reshape(-1, *network.input.shape)
    np.testing.assert_allclose(logits(network, held), wanted(name), atol=1e-4)
    integers = quantize(network, held)
    scores = reference.scores(integers, held)
    assert scores.tolist() == arithmetic.scores(integers, held).tolist()
    off = np.abs(scores * integers.score_scale - wanted(name))
    assert off.mean() < 0.02 * np.abs(wanted(name)).max()


def test_both_files_of_a_module_become_one_network() -> None:
    pytest.importorskip("onnx")
    for name in FLOATS:
        one, other = (importers.load_float(FILES / f"{name}.{suffix}") for suffix in ("pt2", "onnx"))
        assert one.takes == other.takes, name
        assert [type(layer) for layer in one.layers] == [type(layer) for layer in other.layers], name


def test_factors_of_a_sum_go_into_it(tmp_path: Path) -> None:
    network = importers.load_float(FILES / "joined.pt2")
    sums = [layer for layer in network.layers if isinstance(layer, FloatAdd)]
    assert [layer.factors for layer in sums] == [(1.0, 1.0), (1.0, 1.0), (1.0, -0.5), (1.0, -0.25)]
    assert sum(isinstance(layer, FloatConcat) for layer in network.layers) == 1
    held = samples("joined")
    integers = quantize(network, held)
    factors = [layer.factors.tolist() for layer in integers.layers if isinstance(layer, Add)]
    assert [min(each) < 0 for each in factors] == [False, False, True, True]
    assert all(max(map(abs, each)) == 1 << 21 for each in factors)
    floatfile.save(network, tmp_path / "joined.float.safetensors")
    again = floatfile.load(tmp_path / "joined.float.safetensors")
    assert np.array_equal(logits(again, held), logits(network, held))


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_graphs_keep_their_integers(name: str) -> None:
    """The scores are onnxruntime's, which ran node by node, to the step."""
    pytest.importorskip("onnx")
    network = importers.load(FILES / f"{name}.qdq.onnx")
    assert isinstance(network, QuantizedNetwork)
    joins = [type(layer) for layer in network.layers if isinstance(layer, Add | Concat)]
    assert joins == ([Add] if name == "aware" else [Add, Concat, Add])
    held = samples(name)
    scores = reference.scores(network, held)
    assert scores.tolist() == arithmetic.scores(network, held).tolist()
    off = np.abs(scores * network.score_scale - wanted(name)) / network.score_scale
    if name == "aware":  # its scores are accumulators
        assert off.max() < 0.02 * np.abs(scores).max()
    else:
        assert off.max() < 1e-3
        assert len(np.unique(scores)) > 20


def test_a_graph_that_is_quantized_in_part_is_quantized_here(tmp_path: Path) -> None:
    """Of the first sum the rounding is left out, so nothing tells its scale."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(FILES / "signed.qdq.onnx")
    nodes = model.graph.node
    total = next(node for node in nodes if node.op_type == "Add")
    rounds = next(node for node in nodes if node.input[0] == total.output[0])
    back = next(node for node in nodes if node.input[0] == rounds.output[0])
    back.CopyFrom(onnx.helper.make_node("Identity", [total.output[0]], [back.output[0]], name="as it is"))
    nodes.remove(rounds)
    onnx.save(model, tmp_path / "part.onnx")
    network = importers.load_float(tmp_path / "part.onnx")
    assert "it is quantized in part" in network.card["import"]
    assert "gives what several nodes take, or what is joined, and nothing quantizes it" in network.card["import"]
    held = samples("signed")
    integers = quantize(network, held)
    computed = run((tmp_path / "part.onnx").read_bytes(), (held / 255).astype(np.float32), plain=True)
    off = np.abs(reference.scores(integers, held) * integers.score_scale - computed)
    assert off.mean() < 0.03 * np.abs(computed).max()


def test_bits_of_a_quantized_graph_are_its_own() -> None:
    pytest.importorskip("onnx")
    with pytest.raises(ModelError, match="is quantized for pixels of 8 bits; only a network in floats can be given fewer"):
        importers.load(FILES / "signed.qdq.onnx", ImportOptions(bits=1, thresholds=(128,)))
