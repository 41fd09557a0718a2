"""The float forward pass, held against loops that are plainly right."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpfnn.errors import InputError, ModelError
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import MaxPool, Window
from ebpfnn.quantize.float_reference import forward, logits
from ebpfnn.quantize.floats import Activation, AvgPool, FloatConv2d, FloatDense, Network


@st.composite
def windows(draw: st.DrawFn) -> Window:
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    edges = [draw(st.integers(0, size - 1)) for size in kernel * 2]
    return Window(kernel, draw(st.tuples(st.integers(1, 3), st.integers(1, 3))), (edges[0], edges[1], edges[2], edges[3]))


def places(image: np.ndarray, window: Window, outside: float) -> np.ndarray:
    """[rows, columns, channels, window's rows, window's columns], one window at a time."""
    rows, columns = window.output_size(image.shape)
    top, left, _, _ = window.padding
    found = np.full((rows, columns, len(image), *window.kernel), outside)
    for row, column, down, right in product(range(rows), range(columns), *map(range, window.kernel)):
        y, x = row * window.stride[0] + down - top, column * window.stride[1] + right - left
        if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]:
            found[row, column, :, down, right] = image[:, y, x]
    return found


@settings(deadline=None, max_examples=60)
@given(windows(), st.sampled_from([(1, 2, 1), (4, 2, 2), (4, 8, 4), (3, 3, 3)]), st.integers(0, 2**32 - 1))
def test_a_convolution(window: Window, sizes: tuple[int, int, int], seed: int) -> None:
    inputs, outputs, groups = sizes
    random = np.random.default_rng(seed)
    images = random.normal(size=(3, inputs, 5, 6))
    weights = random.normal(size=(outputs, inputs // groups, *window.kernel)).astype(np.float32)
    bias = random.normal(size=outputs).astype(np.float32)
    found = forward(FloatConv2d(weights, bias, window, groups, Activation(0.25, low=-1, high=2)), images)
    own = outputs // groups
    for image, result in zip(images, found, strict=True):
        seen = places(image, window, 0.0)
        for channel in range(outputs):
            first = channel // own * (inputs // groups)
            group = seen[:, :, first : first + inputs // groups]
            sums = (group * weights[channel].astype(np.float64)).sum(axis=(2, 3, 4)) + bias[channel]
            assert np.allclose(result[channel], np.clip(np.where(sums < 0, sums * 0.25, sums), -1, 2))


@settings(deadline=None, max_examples=40)
@given(windows(), st.integers(0, 2**32 - 1))
def test_pools(window: Window, seed: int) -> None:
    images = np.random.default_rng(seed).normal(size=(2, 3, 5, 6))
    largest, average = forward(MaxPool(window), images), forward(AvgPool(window), images)
    for number, image in enumerate(images):
        assert np.allclose(largest[number], places(image, window, -np.inf).max(axis=(3, 4)).transpose(2, 0, 1))
        assert np.allclose(average[number], places(image, window, 0.0).mean(axis=(3, 4)).transpose(2, 0, 1))


def test_an_average_of_all_needs_no_window() -> None:
    images = np.arange(24.0).reshape(1, 2, 3, 4)
    assert forward(AvgPool(), images).tolist() == [[[[5.5]], [[17.5]]]]
    assert forward(AvgPool(), images[:, 0]).tolist() == [[[[5.5]]]]


def test_logits_in_pieces_are_those_of_each_sample() -> None:
    random = np.random.default_rng(0)
    conv = FloatConv2d(random.normal(size=(2, 1, 3, 3)).astype(np.float32), np.zeros(2, np.float32), Window((3, 3)))
    dense = FloatDense(random.normal(size=(3, 32)).astype(np.float32), np.ones(3, np.float32))
    network = Network("test", InputFormat((6, 6)), ("a", "b", "c"), (conv, dense))
    samples = random.integers(0, 256, (600, 6, 6)).astype(np.uint8)
    whole = logits(network, samples)
    assert whole.shape == (600, 3)
    assert np.allclose(whole[511:513], np.concatenate([logits(network, samples[[n]]) for n in (511, 512)]))
    assert logits(network, samples[:0]).shape == (0, 3)


@pytest.mark.parametrize("wrong", [np.zeros((2, 5, 6), np.uint8), np.zeros((2, 6, 6)), np.zeros(6, np.uint8)])
def test_samples_that_do_not_fit(wrong: np.ndarray) -> None:
    network = Network("test", InputFormat((6, 6)), ("a",), (AvgPool(),))
    with pytest.raises(InputError, match=r"samples: .*; give uint8 \[n, \*\[6, 6\]\]"):
        logits(network, wrong)


def test_layers_that_do_not_fit_are_named() -> None:
    dense = FloatDense(np.ones((3, 32), np.float32), np.ones(3, np.float32))
    network = Network("test", InputFormat((6, 6)), ("a", "b", "c"), (MaxPool(Window((2, 2))), dense))
    with pytest.raises(
        ModelError, match=r"network 'test', layer 1 has weights \[3, 32\] .* do not fit 1x5x5; give \[outputs, 25\]"
    ):
        logits(network, np.zeros((1, 6, 6), np.uint8))
