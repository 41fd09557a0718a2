"""Convolutions that list the values of their windows, and outputs that a table clips: the kernel's scores are the oracle's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ebpfnn_plugins.run import RunTrigger
from networks import conv2d, dense, network, random_network, requantization
from oracle import arithmetic, corners

from ebpfnn.compiler import compile_network, cost
from ebpfnn.compiler.plan import LISTED_WINDOWS, ConvPlan
from ebpfnn.kernel.features import has_sign_extension
from ebpfnn.kernel.load.btf import vmlinux
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Add, Conv2d, Dense, Layer, Window
from ebpfnn.obj import Kind
from ebpfnn.session import Session

pytestmark = pytest.mark.root
NETWORKS = {
    "channels that fill no lane": ("conv7x1-conv13x1-5", (5, 6, 7)),
    "one channel": ("conv1x1-conv3x3p1-conv1x1-4", (1, 8, 9)),
    "many tiles": ("conv70x1-conv37x1-dw3p1-4", (3, 5, 4)),
    "strides and pools": ("conv9x3p1s2-pool2-conv18x3s2p2-avgpool2s1-3", (4, 17, 15)),
    "an average of each channel": ("conv6x3x5p2s1x2-conv40x1-gap", (8, 7, 9)),
    "segments": ("conv33x1-conv20x3p1-conv8x5p2-3", (2, 6, 6)),
}
SPARSE = 0.05


@pytest.fixture(autouse=True)
def iterators() -> None:
    if vmlinux().find("bpf_iter_num_new", Kind.FUNC) is None or not has_sign_extension():
        pytest.skip("this kernel has no bpf_iter_num (Linux 6.4), or no loads of signed bytes (Linux 6.6)")


@pytest.fixture(autouse=True)
def whatever_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are listed wherever they can be, in few segments and few words."""
    monkeypatch.setattr(
        cost, "listed_windows", lambda _inputs, words, tiles, segments, *_: (segments + 3 * words * tiles) / 1e6
    )


def listed(net: QuantizedNetwork) -> list[tuple[int, ...]]:
    """Whether the kernel's scores are the oracle's, at corners; the segments of the layers that list their windows."""
    net = replace(net, density=(SPARSE,) * len(net.layers))
    body = compile_network(net, tight=True)
    given = corners.judged(net.input, 3)
    with Session(net, RunTrigger(), body=body) as session:
        assert session.infer_many(given).scores.tolist() == arithmetic.scores(net, given).tolist()
    return [layer.segments for layer in body.layers if layer.shape == LISTED_WINDOWS]


def told_apart(values: int) -> Dense:
    """A last layer whose scores tell its values apart."""
    return dense(np.random.default_rng(values).integers(-127, 128, (8, values)), np.zeros(8))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", NETWORKS)
def test_listed_windows(case: str, seed: int) -> None:
    net = random_network(NETWORKS[case][0], seed, NETWORKS[case][1])
    wanted = sum(isinstance(layer, Conv2d) and layer.groups == 1 for layer in net.layers)
    assert len(listed(net)) == wanted > 0


def test_lists_of_several_segments() -> None:
    """Weights so large that no lane of 21 bits holds all of them, and as many values as lists have places."""
    weights = np.random.default_rng(1).choice([-127, 127], (7, 15, 3, 3))
    layers: list[Layer] = [conv2d(weights, range(7), Window((3, 3), padding=(1, 1, 1, 1)), shift=45, low=-128, high=127)]
    net = network([*layers, dense(np.ones((3, 7 * 20)), [1, 2, 3])], InputFormat((15, 4, 5)))
    (segments,) = listed(net)
    assert len(segments) > 1


@pytest.mark.parametrize("inputs", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17])
def test_lists_that_are_full_or_have_one_value(inputs: int) -> None:
    """Ends of lists at every place in a group and in a turn: windows of 0 to ``inputs`` values, one pixel of each."""
    weights = np.random.default_rng(inputs).integers(-127, 128, (4, inputs, 1, 1))
    layer = conv2d(weights, [0] * 4, Window((1, 1)), shift=38, low=-128, high=127)
    net = network([layer, told_apart(4 * (inputs + 1))], InputFormat((inputs, 1, inputs + 1)))
    assert len(listed(net)) == 1
    staircase = np.tril(np.full((inputs + 1, inputs), 255), -1).T.reshape(net.input.shape).astype(np.uint8)
    given = np.stack([staircase, staircase[::-1], staircase // 255, staircase[:, :, ::-1]])
    body = compile_network(replace(net, density=(SPARSE, SPARSE)), tight=True)
    with Session(net, RunTrigger(), body=body) as session:
        assert session.infer_many(given).scores.tolist() == arithmetic.scores(net, given).tolist()


def test_a_residual_sum_of_listed_windows() -> None:
    random, edge = np.random.default_rng(2), Window((3, 3), padding=(1, 1, 1, 1))
    relu = {"positive": np.full(6, 1 << 28, np.int32), "negative": np.zeros(6, np.int32), "shift": 34, "low": 0, "high": 255}
    layers: tuple[Layer, ...] = (
        conv2d(random.integers(-50, 50, (6, 3, 3, 3)), range(6), edge, **relu),
        conv2d(random.integers(-50, 50, (6, 6, 1, 1)), range(6), Window((1, 1)), shift=36, low=-127, high=127),
        Add(np.array([1, 2], np.int32), np.array([-9], np.int32), requantization(1, low=0, high=255, slope=0)),
        conv2d(random.integers(-50, 50, (5, 6, 3, 3)), range(5), replace(edge, stride=(2, 2)), shift=38, low=-128, high=127),
        dense(random.integers(-9, 9, (4, 5 * 9)), range(4)),
    )
    sources = ((-1,), (0,), (0, 1), (2,), (3,))
    net = QuantizedNetwork("test", InputFormat((3, 6, 5)), tuple("abcd"), layers, sources=sources)
    assert len(listed(net)) == 3


@pytest.mark.parametrize(("bias", "by_table"), [((382, -383), True), ((383, -383), False), ((382, -384), False)])
@pytest.mark.parametrize("slope", [0, 1])
def test_sums_as_far_apart_as_a_table_that_clips_is_long(bias: tuple[int, int], by_table: bool, slope: int) -> None:
    """Sums of -32,768 to 32,767, and one beyond: every byte is given."""
    one = np.full(2, 1 << 30, np.int32)
    fields = {"positive": one, "negative": one * slope, "slope": slope, "zero_point": 3, "low": 0, "high": 255}
    layers = [conv2d([[[[127]]], [[[-127]]]], bias, Window((1, 1)), **fields), told_apart(512)]
    net = network(layers, InputFormat((1, 16, 16)))
    body = compile_network(net, tight=True)
    plan = body.plan.layers[0]
    assert isinstance(plan, ConvPlan)
    assert plan.requantize.by_table == by_table
    given = np.stack([np.arange(256, dtype=np.uint8).reshape(1, 16, 16), np.zeros((1, 16, 16), np.uint8)])
    with Session(net, RunTrigger(), body=body) as session:
        assert session.infer_many(given).scores.tolist() == arithmetic.scores(net, given).tolist()
