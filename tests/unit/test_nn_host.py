"""nn.h by the host's compiler matches the reference, bit for bit."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from architectures import KINDS, SHAPE, architectures
from host import HostNetwork, build
from hypothesis import given, settings
from hypothesis import strategies as st
from mnist import images_labels
from networks import around_own, conv2d, dense, network, own_format, random_network, samples, small_weights

from ebpfnn.bodies import modelfile
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.encoding import encode
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import INT32_MAX, Window

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module", params=["-O2", "-O0"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(tmp_path_factory.mktemp("host"), request.param)


def assert_equal(library: ctypes.CDLL, net: QuantizedNetwork, inputs: np.ndarray) -> None:
    host = HostNetwork(library, net)
    expected = zip(reference.labels(net, inputs).tolist(), reference.scores(net, inputs).tolist(), strict=True)
    assert [host.infer(sample) for sample in encode(net.input, inputs)] == list(expected)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), SEEDS)
def test_random_dense_networks(library: ctypes.CDLL, widths: list[int], seed: int) -> None:
    assert_equal(library, random_network(widths, seed), samples(widths[0], seed))


@settings(deadline=None, max_examples=60)
@given(architectures(), SEEDS, st.sampled_from([1, 2, 4, 8]), st.booleans(), st.sampled_from(["big", "little"]))
def test_random_networks(library: ctypes.CDLL, architecture: str, seed: int, bits: int, packed: bool, bit_order: str) -> None:
    net = random_network(architecture, seed, SHAPE, bits=bits, packed=packed and bits < 8, bit_order=bit_order)
    assert_equal(library, net, samples(SHAPE, seed))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 13])
def test_thresholds_of_each_value(library: ctypes.CDLL, size: int, bits: int, packed: bool) -> None:
    form = own_format(size, bits, 2, packed=packed)
    assert_equal(library, small_weights((size, 5, 3), form, 3), np.concatenate([around_own(form), samples(size, 4)]))


@pytest.mark.parametrize("architecture", KINDS)
def test_every_kind_of_layer(library: ctypes.CDLL, architecture: str) -> None:
    for seed in range(4):
        assert_equal(library, random_network(architecture, seed, SHAPE), samples(SHAPE, seed))


@pytest.mark.parametrize("size", [1, 7, 8, 9])
@pytest.mark.parametrize("bit_order", ["big", "little"])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_packed_samples_of_any_size(library: ctypes.CDLL, bits: int, bit_order: str, size: int) -> None:
    net = random_network([size, 3], size, bits=bits, packed=True, bit_order=bit_order)
    assert_equal(library, net, samples(size, size))


@pytest.mark.parametrize("weight", [-127, 127])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("multiplier", [0, 1, 2**31 - 1])
@pytest.mark.parametrize("shift", [1, 31, 62])
@pytest.mark.parametrize("zero_point", [0, -128, 255])
def test_accumulators_reach_the_bounds_of_int32(
    library: ctypes.CDLL, weight: int, sign: int, multiplier: int, shift: int, zero_point: int
) -> None:
    inputs = 784
    bias = sign * (INT32_MAX - 127 * 255 * inputs)
    multipliers = np.array([multiplier, 2**31 - 1, 1], np.int32)
    fields = {"positive": multipliers, "negative": multipliers[::-1].copy(), "shift": shift, "zero_point": zero_point}
    flat = dense(np.full((3, inputs), weight), [bias, 0, -bias], **fields)
    image = conv2d(flat.weights.reshape(3, 4, 14, 14), flat.bias, Window((14, 14)), **fields)
    for layer, shape in ((flat, (inputs,)), (image, (4, 14, 14))):
        reached = reference.accumulate(layer, np.full((1, *shape), 255, np.int64))
        assert int(np.abs(reached).max()) == INT32_MAX
        assert_equal(library, network([layer], InputFormat(shape)), samples(shape, seed=0))


@pytest.mark.parametrize("low_high", [(0, 255), (-127, 127), (-128, 127), (3, 200), (-5, -2)])
@pytest.mark.parametrize("slope", [0, 0.125, 1])
def test_activations_of_either_sign(library: ctypes.CDLL, low_high: tuple[int, int], slope: float) -> None:
    random = np.random.default_rng(7)
    positive = np.full(20, 1 << 24, np.int32)
    hidden = dense(
        random.integers(-127, 128, (20, 30)),
        random.integers(-9999, 9999, 20),
        positive=positive,
        negative=(positive * slope).astype(np.int32),
        low=low_high[0],
        high=low_high[1],
    )
    assert_equal(library, network([hidden, dense(random.integers(-127, 128, (10, 20)), np.zeros(10))]), samples(30, 7))


@pytest.mark.parametrize("inputs", [65_535, 65_536])
def test_as_many_inputs_as_can_be_listed(library: ctypes.CDLL, inputs: int) -> None:
    sample = np.zeros((2, inputs), np.uint8)
    sample[0, -1] = sample[1, 0] = 9
    weights = np.ones((2, inputs), np.int8)
    weights[0, -1] = weights[1, 0] = 5
    assert_equal(library, network([dense(weights, [0, 0])]), sample)


def test_of_equal_scores_the_first_wins(library: ctypes.CDLL) -> None:
    net = network([dense([[1], [2], [2], [0]], [0, 0, 0, 0])])
    assert HostNetwork(library, net).infer(np.array([5], np.uint8)) == (1, [5, 10, 10, 0])
    assert HostNetwork(library, net).infer(np.array([0], np.uint8)) == (0, [0, 0, 0, 0])


def test_the_bundled_network_on_digits(library: ctypes.CDLL) -> None:
    net = modelfile.load(modelfile.resolve("mnist"))
    assert_equal(library, net, images_labels(all=True)[0])
