"""Networks whose layers are a graph: what is refused, files, nn.h on this host, and what exports make of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from host import HostNetwork, build
from networks import conv2d, dense
from oracle import arithmetic, corners, graphs

from ebpfnn.bodies import modelfile
from ebpfnn.errors import ModelError, NotSupported
from ebpfnn.exporters import raw
from ebpfnn.network import QuantizedNetwork, modelformat, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Add, Concat, Layer, Requantization, Window

ONE = np.full(1, 1 << 8, np.int32)


def by(low: int = 0, high: int = 255, channels: int = 1) -> Requantization:
    one = np.repeat(ONE, channels)
    return Requantization(one, one, 8, low, high)


def total(factors: tuple[int, int] = (1, 1), bias: int = 0) -> Add:
    return Add(np.array(factors, np.int32), np.array([bias], np.int32), by())


def joined(count: int = 2) -> Concat:
    return Concat(np.zeros(count, np.int32), by(channels=count))


def hidden(outputs: int = 4) -> Layer:
    return dense(np.ones((outputs, 4)), np.zeros(outputs), low=0, high=255)


def last(inputs: int = 4) -> Layer:
    return dense(np.ones((2, inputs)), np.zeros(2))


def graph(layers: list[Layer], *sources: tuple[int, ...], shape: tuple[int, ...] = (4,)) -> QuantizedNetwork:
    return QuantizedNetwork("test", InputFormat(shape), ("a", "b"), tuple(layers), sources=sources)


def test_a_residual_layer_adds_what_it_is_given() -> None:
    network = graph([hidden(), total((2, 1), -3), last()], (-1,), (0, -1), (1,))
    assert network.takes == ((-1,), (0, -1), (1,))
    assert network.shapes == ((4,), (4,), (4,), (2,))
    assert network.architecture == "4-4-add(0,-1)-2"
    sample = np.array([1, 2, 3, 4], np.uint8)
    assert reference.scores(network, sample).tolist() == [2 * 4 * 10 + 10 - 4 * 3] * 2
    assert reference.density(network, np.array([[0, 0, 0, 8], [0, 0, 0, 0]], np.uint8)) == (1 / 8, 5 / 16, 1 / 2)


def test_a_chain_has_no_sources() -> None:
    assert graph([hidden(), last()], (-1,), (0,)).sources == ()
    assert "sources" not in json.dumps(modelformat.describe(graph([hidden(), last()])))


@pytest.mark.parametrize(
    ("layers", "sources", "fact"),
    [
        ([hidden(), last()], [(-1,)], "sources of 1 layers, but there are 2"),
        ([hidden(), last()], [(-1,), (1,)], r"layer 1 has the sources \[1\]; they are earlier layers, or -1, the sample"),
        ([hidden(), last()], [(-1,), (-2,)], r"layer 1 has the sources \[-2\]"),
        ([hidden(), last()], [(-1,), (0, -1)], "layer 1 takes 1 values, but 2 sources are given"),
        ([hidden(), total(), last()], [], "layer 1 takes 2 values, but 1 sources are given"),
        ([hidden(), last()], [(-1,), (-1,)], "layer 0 gives values that no layer takes; leave it out"),
        ([hidden(3), total(), last()], [(-1,), (0, -1), (1,)], "layer 1 adds 3 and 4; give two values of one shape"),
        (
            [hidden(), total((1 << 23, 1 << 22)), last()],
            [(-1,), (0, 0), (1,)],
            r"layer 1 can reach \|accumulator\| 3208642560, past",
        ),
        ([hidden(), joined(3), last()], [(-1,), (0, -1), (1,)], "layer 1 takes 3 values, but 2 sources are given"),
        ([hidden(), joined()], [(-1,), (0, -1)], "the last layer joins values; end with a dense layer or a convolution"),
    ],
)
def test_a_graph_refuses(layers: list[Layer], sources: list[tuple[int, ...]], fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        graph(layers, *sources)


def test_joins_refuse_what_does_not_fit() -> None:
    for make, fact in (
        (lambda: Add(np.ones(3, np.int32), np.zeros(1, np.int32), by()), r"factors must be int32 \[2\]"),
        (lambda: Add(np.ones(2, np.int32), np.zeros(2, np.int32), by()), r"bias must be int32 \[1\]"),
        (lambda: Add(np.ones(2, np.int32), np.zeros(1, np.int32), by(channels=2)), r"multipliers must be int32 \[1\]"),
        (lambda: joined(1), "joins 1 values; give 2 to 8"),
        (lambda: joined(9), "joins 9 values; give 2 to 8"),
        (lambda: Concat(np.zeros(2, np.int32), by()), r"multipliers must be int32 \[2\]"),
    ):
        with pytest.raises(ModelError, match=fact):
            make()


def test_images_side_by_side_stay_an_image() -> None:
    conv = conv2d(np.ones((3, 1, 2, 2)), np.zeros(3), Window((2, 2), (1, 1), (1, 1, 0, 0)), low=0, high=255)
    assert graph([conv, joined(), last(64)], (-1,), (0, -1), (1,), shape=(4, 4)).shapes[2] == (4, 4, 4)
    flat = dense(np.ones((5, 16)), np.zeros(5), low=0, high=255)
    assert graph([conv, flat, joined(), last(53)], (-1,), (-1,), (0, 1), (2,), shape=(4, 4)).shapes[3] == (53,)


def test_files_keep_graphs(tmp_path: Path) -> None:
    for seed in range(12):
        network = graphs.network(seed)
        modelfile.save(network, tmp_path / "graph.safetensors")
        raw.export(network, tmp_path / "raw")
        samples = corners.judged(network.input, seed)
        wanted = arithmetic.scores(network, samples).tolist()
        for again in (modelfile.load(tmp_path / "graph.safetensors"), raw.load(tmp_path / "raw")):
            assert isinstance(again, QuantizedNetwork)
            assert again.sources == network.sources
            assert reference.scores(again, samples).tolist() == wanted, seed


def test_sources_of_a_file_are_checked() -> None:
    network = graph([hidden(), total(), last()], (-1,), (0, -1), (1,))
    described, arrays = json.loads(json.dumps(modelformat.describe(network))), modelformat.tensors(network)
    for wrong, fact in (([0, 7], "has the sources"), ("0", "layer 1: 'sources' must be of type list"), ([0], "takes 2 values")):
        described["layers"][1]["sources"] = wrong
        with pytest.raises(ModelError, match=fact):
            modelformat.build(described, arrays)


def test_nn_h_computes_graphs_on_this_host(tmp_path: Path) -> None:
    """With guards behind each array."""
    library = build(tmp_path)
    for seed in range(60):
        network = graphs.network(seed)
        samples = corners.judged(network.input, seed)[::3]
        wanted = arithmetic.scores(network, samples).tolist()
        host = HostNetwork(library, network)
        for given, scores in zip(arithmetic.given_bytes(network.input, samples), wanted, strict=True):
            assert host.infer(given)[1] == scores, seed


def test_an_onnx_export_computes_the_same(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    from ebpfnn.exporters import onnx

    for seed in range(12):
        network = graphs.network(seed)
        try:
            onnx.export(network, tmp_path / "graph.onnx")
        except NotSupported as error:
            pytest.skip(str(error))
        samples = corners.judged(network.input, seed)
        session = runtime.InferenceSession(str(tmp_path / "graph.onnx"), providers=["CPUExecutionProvider"])
        (scores,) = session.run(["scores"], {"pixels": samples})
        assert scores.tolist() == arithmetic.scores(network, samples).tolist(), seed
