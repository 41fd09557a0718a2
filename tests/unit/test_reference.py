"""The reference against arithmetic in Python's own integers, and against figures worked by hand."""

from __future__ import annotations

import definitions
import numpy as np
import pytest
from architectures import KINDS, SHAPE, architectures
from hypothesis import given, settings
from hypothesis import strategies as st
from mnist import images_labels
from networks import conv2d, dense, input_format, network, random_network, requantization, samples

from ebpfnn.bodies import modelfile
from ebpfnn.errors import InputError
from ebpfnn.network import QuantizedNetwork, encoding, reference
from ebpfnn.network.layers import INT32_MAX, INT32_MIN, Dense, MaxPool, Window


def assert_equal(net: QuantizedNetwork, inputs: np.ndarray) -> None:
    expected = [definitions.scores(net, sample.ravel().tolist()) for sample in inputs]
    assert reference.scores(net, inputs).tolist() == expected
    assert reference.labels(net, inputs).tolist() == [scores.index(max(scores)) for scores in expected]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=5), st.integers(0, 2**32 - 1))
def test_equals_unbounded_integers(widths: list[int], seed: int) -> None:
    assert_equal(random_network(widths, seed), samples(widths[0], seed))


@pytest.mark.parametrize("architecture", KINDS)
def test_every_kind_of_layer_equals_its_definition(architecture: str) -> None:
    for seed in range(4):
        assert_equal(random_network(architecture, seed, SHAPE), samples(SHAPE, seed)[::3])


@settings(deadline=None, max_examples=30)
@given(architectures(), st.integers(0, 2**32 - 1))
def test_random_architectures(architecture: str, seed: int) -> None:
    assert_equal(random_network(architecture, seed, SHAPE), samples(SHAPE, seed)[3::4])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bit_order", ["big", "little"])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_inputs_of_few_bits(bits: int, packed: bool, bit_order: str) -> None:
    for architecture, shape in (("7-4", (7,)), ("conv2x3p1-3", (5, 3))):
        net = random_network(architecture, bits, shape, bits=bits, packed=packed, bit_order=bit_order)
        inputs = samples(shape, bits)
        assert_equal(net, inputs)
        encoded = encoding.encode(net.input, inputs)
        assert reference.scores_of_encoded(net, encoded).tolist() == reference.scores(net, inputs).tolist()


def test_more_samples_than_a_chunk_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    net, inputs = random_network("conv3x3-pool2-5", 1), samples((1, 12, 12), 1)
    whole = reference.scores(net, inputs)
    density = reference.density(net, inputs)
    monkeypatch.setattr(reference, "_CHUNK_BYTES", 1)
    assert reference.scores(net, inputs).tolist() == whole.tolist()
    assert reference.density(net, inputs) == density


def test_sums_at_the_bound_are_exact() -> None:
    """Every odd unit counts: float64 carries them, float32 would not."""
    inputs = 16_900
    bias = INT32_MAX - 127 * 127 * inputs
    layer = dense(np.full((1, inputs), 127), [bias])
    values = np.full((2, inputs), 127, np.int64)
    values[1, 5] -= 1
    assert reference.accumulate(layer, values).ravel().tolist() == [INT32_MAX, INT32_MAX - 127]


@settings(deadline=None)
@given(st.integers(-INT32_MAX, INT32_MAX), st.integers(0, INT32_MAX), st.integers(1, 62), st.integers(-128, 255))
def test_rounding_is_exact_at_any_size(accumulator: int, multiplier: int, shift: int, zero_point: int) -> None:
    one = np.array([multiplier], np.int32)
    by = requantization(1, positive=one, negative=one, shift=shift, zero_point=zero_point)
    expected = (accumulator * multiplier + 2 ** (shift - 1)) // 2**shift + zero_point
    found = reference.requantize(by, np.array([[accumulator]], np.int64))
    assert found.item() == min(max(expected, INT32_MIN), INT32_MAX)


@pytest.mark.parametrize(("accumulator", "expected"), [(3, 2), (1, 1), (-1, 0), (-3, -1), (-5, -2)])
def test_halves_round_up(accumulator: int, expected: int) -> None:
    one = np.array([1], np.int32)
    by = requantization(1, positive=one, negative=one, shift=1)
    assert reference.requantize(by, np.array([[accumulator]], np.int64)).item() == expected


def test_a_convolution_by_hand() -> None:
    window = Window((2, 2), (1, 2), (1, 0, 0, 1))
    layer = conv2d([[[[1, 2], [3, -4]]]], [10], window, pad_value=5)
    image = np.array([[[[1, 2, 3], [6, 7, 8]]]], np.int64)
    # Windows [5 5; 1 2], [5 5; 3 5], [1 2; 6 7] and [3 5; 8 5].
    assert reference.accumulate(layer, image).tolist() == [[[[20, 14], [5, 27]]]]


def test_a_pool_by_hand() -> None:
    layer = MaxPool(Window((2, 2), (2, 1), (1, 1, 1, 0)))
    image = np.array([[[-3, -7], [-1, -8]]], np.int64)
    assert reference.max_pool(layer, image).tolist() == [[[[-3, -3], [-1, -1]]]]


def test_an_average_is_a_depthwise_convolution() -> None:
    quarter = np.full(2, 1 << 28, np.int32)
    window = Window((2, 2), (2, 2))
    layer = conv2d(np.ones((2, 1, 2, 2)), [0, 0], window, 2, positive=quarter, negative=quarter)
    image = np.array([[[[1, 2], [3, 4]], [[255, 255], [255, 254]]]], np.int64)
    assert reference.forward(layer, image).ravel().tolist() == [3, 255]  # 2.5 and 254.75


def test_one_sample_or_many() -> None:
    net = modelfile.load(modelfile.resolve("mnist"))
    images, _ = images_labels()
    many = reference.scores(net, images)
    assert (many.shape, many.dtype) == ((512, 10), np.int32)
    assert reference.scores(net, images[7]).tolist() == many[7].tolist()
    assert reference.scores_of_encoded(net, images[7].ravel()).tolist() == many[7].tolist()
    assert reference.labels(net, images[7]) == reference.labels(net, images)[7] == many[7].argmax()
    assert reference.scores(net, images[:0]).shape == (0, 10)


@pytest.mark.parametrize("given_", [np.zeros((28, 28)), np.zeros((2, 784), np.uint8), np.zeros((), np.uint8)])
def test_other_samples_are_refused(given_: np.ndarray) -> None:
    net = modelfile.load(modelfile.resolve("mnist"))
    with pytest.raises(InputError, match=r"samples: .*; give uint8 \[28, 28\]"):
        reference.scores(net, given_)


@pytest.mark.parametrize("given_", [np.zeros(98), np.zeros((2, 784), np.uint8), np.zeros((), np.uint8)])
def test_other_encoded_samples_are_refused(given_: np.ndarray) -> None:
    net = random_network("784-4", 1, (28, 28), bits=1, packed=True)
    with pytest.raises(InputError, match=r"encoded samples: .*; give uint8 \[98\] or \[n, 98\]"):
        reference.scores_of_encoded(net, given_)


def test_of_equal_scores_the_first_wins() -> None:
    net = network([dense([[1], [2], [2]], [0, 0, 0])])
    assert reference.labels(net, np.array([[5], [0]], np.uint8)).tolist() == [1, 0]


def test_density() -> None:
    hidden = Dense(np.eye(4, dtype=np.int8)[:3], np.zeros(3, np.int32), requantization(3, low=0, high=255))
    net = network([hidden, dense(np.ones((2, 3)), [0, 0])], input_format((4,), 1))
    # Levels [1 0 0 1], then [0 0 0 0]; the hidden layer sees three of the four.
    inputs = np.array([[100, 99, 0, 255], [0, 0, 0, 0]], np.uint8)
    assert reference.density(net, inputs) == (2 / 8, 1 / 6)


def test_the_bundled_network_knows_its_density() -> None:
    net = modelfile.load(modelfile.resolve("mnist"))
    assert net.density == pytest.approx(reference.density(net, images_labels()[0]), abs=0.03)


def test_the_bundled_network_reads_digits() -> None:
    net = modelfile.load(modelfile.resolve("mnist"))
    images, labels = images_labels(all=True)
    assert (reference.labels(net, images) == labels).mean() >= 0.97
