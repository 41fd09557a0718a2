"""The reference against arithmetic in Python's own integers, and against figures worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mnist import images_labels
from networks import dense, network, random_network, samples

from ebpfnn import modelfile, reference
from ebpfnn.errors import InputError
from ebpfnn.network import INT32_MAX, INT32_MIN, QuantizedNetwork


def by_hand(net: QuantizedNetwork, sample: list[int]) -> list[int]:
    """The forward pass in integers that cannot overflow, with floor division for the shift."""
    values = sample
    for layer in net.layers:
        outputs = []
        for o in range(layer.outputs):
            accumulator = int(layer.bias[o]) + sum(int(w) * x for w, x in zip(layer.weights[o], values, strict=True))
            multiplier = int(layer.negative[o] if accumulator < 0 else layer.positive[o])
            rounded = (accumulator * multiplier + 2 ** (layer.shift - 1)) // 2**layer.shift
            outputs.append(min(max(rounded, layer.low), layer.high))
        values = outputs
    return values


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=5), st.integers(0, 2**32 - 1))
def test_equals_unbounded_integers(widths: list[int], seed: int) -> None:
    net, inputs = random_network(tuple(widths), seed), samples(widths[0], seed)
    assert reference.scores(net, inputs).tolist() == [by_hand(net, sample) for sample in inputs.tolist()]


@settings(deadline=None)
@given(st.integers(-INT32_MAX, INT32_MAX), st.integers(0, INT32_MAX), st.integers(1, 62))
def test_rounding_is_exact_at_any_size(accumulator: int, multiplier: int, shift: int) -> None:
    one = np.array([multiplier], np.int32)
    layer = dense([[0]], [0], positive=one, negative=one, shift=shift)
    expected = (accumulator * multiplier + 2 ** (shift - 1)) // 2**shift
    found = reference.requantize(layer, np.array([[accumulator]], np.int64))
    assert found.item() == min(max(expected, INT32_MIN), INT32_MAX)


@pytest.mark.parametrize(("accumulator", "expected"), [(3, 2), (1, 1), (-1, 0), (-3, -1), (-5, -2)])
def test_halves_round_up(accumulator: int, expected: int) -> None:
    one = np.array([1], np.int32)
    layer = dense([[0]], [0], positive=one, negative=one, shift=1)
    assert reference.requantize(layer, np.array([[accumulator]], np.int64)).item() == expected


def test_one_sample_or_many() -> None:
    net = modelfile.load(modelfile.resolve("mnist"))
    images, _ = images_labels()
    many = reference.scores(net, images)
    assert (many.shape, many.dtype) == ((512, 10), np.int32)
    assert reference.scores(net, images[7]).tolist() == many[7].tolist()
    assert reference.labels(net, images[7]) == reference.labels(net, images)[7] == many[7].argmax()
    assert reference.scores(net, images[:0]).shape == (0, 10)


@pytest.mark.parametrize("given_", [np.zeros((28, 28)), np.zeros((2, 784), np.uint8), np.zeros((), np.uint8)])
def test_other_samples_are_refused(given_: np.ndarray) -> None:
    net = modelfile.load(modelfile.resolve("mnist"))
    with pytest.raises(InputError, match=r"samples: .*; give uint8 \[28, 28\]"):
        reference.scores(net, given_)


def test_of_equal_scores_the_first_wins() -> None:
    net = network([dense([[1], [2], [2]], [0, 0, 0])])
    assert reference.labels(net, np.array([[5], [0]], np.uint8)).tolist() == [1, 0]


def test_the_bundled_network_reads_digits() -> None:
    net = modelfile.load(modelfile.resolve("mnist"))
    images, labels = images_labels(all=True)
    assert (reference.labels(net, images) == labels).mean() >= 0.97
