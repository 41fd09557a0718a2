"""Quantization: the example of docs/quantization.md, closeness to the float network, its bounds, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from floatnets import LEAKY, RELU, convolution, error, float_network, layer, pixels, random_floats, samples, weighted
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import INT32_MAX, Conv2d, MaxPool, Window, accumulator_bound
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import Activation, AvgPool, FloatConv2d
from ebpfnn.quantize.quantization import quantize
from ebpfnn.quantize.scales import LARGEST_BIAS


def test_the_example_of_the_documentation() -> None:
    hidden = layer([[1.27, 0.10], [-0.254, 0.12]], [0, 0.1], slope=0.125)
    output = layer([[0.127, 0.05], [-0.254, 0.10]], [0, 0.2])
    sample = np.array([[255, 51]], np.uint8)
    network = quantize(float_network(hidden, output), sample)
    first, last = weighted(network)
    assert first.weights.tolist() == [[127, 10], [-127, 60]]
    assert first.bias.tolist() == [0, 12750]
    accumulators = reference.accumulate(first, sample.astype(np.int64))
    assert accumulators.tolist() == [[32895, -16575]]
    assert first.requantization.shift == 39
    activations = reference.requantize(first.requantization, accumulators)
    assert activations.tolist() == [[127, -2]]
    assert last.weights.tolist() == [[127, 50], [-127, 50]]
    assert last.bias.tolist() == [0, 9845]
    assert reference.accumulate(last, activations).tolist() == [[16029, -6384]]
    assert (last.requantization.positive.tolist(), last.requantization.shift) == ([1 << 29, 1 << 30], 30)
    assert reference.scores(network, sample).tolist() == [[8015, -6384]]
    assert (reference.scores(network, sample) * network.score_scale).round(4).tolist() == [[0.1628, -0.1297]]
    assert logits(float_network(hidden, output), sample).round(4).tolist() == [[0.163, -0.1293]]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(4, 60), min_size=2, max_size=4),
    st.sampled_from([0.0, 0.125, 0.5, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_scores_are_close_to_the_logits(widths: list[int], slope: float, seed: int) -> None:
    network = random_floats(tuple(widths), slope, seed)
    samples = np.random.default_rng(seed).integers(0, 256, (200, widths[0])).astype(np.uint8)
    integers = quantize(network, samples)
    exact, found = logits(network, samples), reference.scores(integers, samples) * integers.score_scale
    assert np.sqrt(np.square(found - exact).mean()) < 0.05 * np.sqrt(np.square(exact).mean()) + 0.02


KINDS = {
    "convolution": (convolution((6, 1, 3, 3), LEAKY, 1),),
    "stride and padding": (convolution((6, 1, 3, 3), RELU, 2, Window((3, 3), (2, 1), (1, 2, 0, 1))),),
    "groups": (convolution((6, 1, 3, 3), RELU, 3), convolution((4, 3, 2, 3), LEAKY, 4, groups=2)),
    "depthwise": (convolution((6, 1, 3, 3), LEAKY, 5), convolution((6, 1, 3, 3), RELU, 6, groups=6)),
    "max pool": (MaxPool(Window((3, 3), (2, 2), (1, 1, 1, 1))), convolution((6, 1, 3, 3), RELU, 7)),
    "average pool": (convolution((6, 1, 3, 3), LEAKY, 8), AvgPool(Window((2, 3), (2, 1), (1, 0, 0, 1)))),
    "averages of channels": (convolution((6, 1, 3, 3), RELU, 9), AvgPool()),
    "a pool first": (AvgPool(Window((2, 2), (2, 2))), convolution((6, 1, 3, 3), RELU, 10)),
    "ReLU6": (convolution((6, 1, 3, 3), Activation(slope=0, high=0.6), 11),),
    "Hardtanh": (convolution((6, 1, 3, 3), Activation(low=-0.5, high=0.3), 12),),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_is_close_to_its_floats(kind: str) -> None:
    layers = KINDS[kind]
    inputs = np.prod(logits(float_network(*layers, classes=1), pixels((8, 8), 1)).shape[1:])
    random = np.random.default_rng(0)
    last = layer(random.normal(0, inputs**-0.5, (5, int(inputs))), random.normal(0, 0.1, 5))
    network = float_network(*layers, last)
    integers = quantize(network, pixels((8, 8)))
    assert error(network, integers, pixels((8, 8), seed=1)) < 0.05
    assert len(integers.layers) == len(network.layers)


def test_an_average_is_a_convolution_of_ones_that_keeps_the_range() -> None:
    network = float_network(
        convolution((3, 1, 3, 3), RELU, 1), AvgPool(Window((2, 2), (2, 2))), layer(np.ones((2, 27)), [0, 1])
    )
    first, average, _ = weighted(quantize(network, pixels((8, 8))))
    assert isinstance(average, Conv2d)
    assert (average.groups, average.weights.tolist(), average.bias.tolist()) == (3, [[[[1, 1], [1, 1]]]] * 3, [0] * 3)
    by = average.requantization
    assert by.positive.tolist() == by.negative.tolist() == [by.positive[0]] * 3
    assert (by.low, by.high) == (first.requantization.low, first.requantization.high) == (0, 255)


@pytest.mark.parametrize("area", [4, 64])
def test_averages_of_rare_peaks_keep_their_precision(area: int) -> None:
    side, random = int(area**0.5), np.random.default_rng(area)
    peaks = np.zeros((300, side, side), np.uint8)
    peaks.reshape(300, -1)[np.arange(300), random.integers(0, area, 300)] = np.arange(300) % 256
    hidden = FloatConv2d(np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32), Window((1, 1)), activation=RELU)
    network = float_network(hidden, AvgPool(), layer([[1], [-1]], [0, 0]), form=InputFormat((side, side)))
    integers = quantize(network, peaks)
    wanted = (np.arange(300) % 256) / 255 / area
    found = reference.scores(integers, peaks)[:, 0] * integers.score_scale
    assert np.abs(found - wanted).max() <= 1.01 * wanted.max() / 255


def test_a_network_may_end_with_averages() -> None:
    network = float_network(convolution((4, 1, 3, 3), Activation(), 1), AvgPool(), classes=4)
    integers = quantize(network, pixels((8, 8)))
    assert error(network, integers, pixels((8, 8), seed=1)) < 0.05


@pytest.mark.parametrize(("slope", "low", "high"), [(0, 0, 255), (0.125, -127, 127), (1, -127, 127)])
def test_the_slope_chooses_the_activations_range_and_the_second_multiplier(slope: float, low: int, high: int) -> None:
    network = random_floats((20, 8, 4), slope, seed=3)
    first, last = (each.requantization for each in weighted(quantize(network, np.full((1, 20), 200, np.uint8))))
    assert (first.low, first.high, first.slope) == (low, high, slope)
    assert np.abs(first.negative - first.positive * slope).max() <= 1
    assert 1 << 30 <= int(first.positive.max()) <= INT32_MAX
    assert last.positive.tolist() == last.negative.tolist()


def test_density_is_measured_on_the_calibration_samples() -> None:
    samples = np.zeros((10, 8, 8), np.uint8)
    samples[:, :4] = 200
    hidden = FloatConv2d(np.ones((2, 1, 1, 1), np.float32), np.array([0, -1], np.float32), Window((1, 1)), activation=RELU)
    integers = quantize(float_network(hidden, MaxPool(Window((8, 1))), layer(np.ones((2, 16)), [0, 0])), samples)
    assert integers.density == (0.5, 0.25, 0.5)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-12, 1e-3, 1.0, 1e3, 1e6]))
def test_scores_never_saturate(seed: int, largest_bias: float) -> None:
    random = np.random.default_rng(seed)
    only = layer(random.normal(size=(5, 30)) * random.choice([0, 1e-6, 1], (5, 1)), random.normal(size=5) * largest_bias)
    integers = weighted(quantize(float_network(only), np.zeros((1, 30), np.uint8)))[0]
    bound = np.array([[accumulator_bound(integers, 0, 255)] * 5])
    for reach in (bound, -bound):
        assert (np.abs(reference.requantize(integers.requantization, reach)) <= bound).all()
    assert int(np.abs(integers.bias.astype(np.int64)).max()) <= LARGEST_BIAS


def test_of_many_samples_evenly_spaced_ones_calibrate(monkeypatch: pytest.MonkeyPatch) -> None:
    network = float_network(convolution((4, 1, 3, 3), RELU, 1), layer(np.ones((2, 144)), [0, 0]))
    samples = pixels((8, 8), 90)
    monkeypatch.setattr("ebpfnn.quantize.quantization._MOST_VALUES", 30 * 144 + 100)
    some = quantize(network, samples)
    monkeypatch.undo()
    same, other = quantize(network, samples[::3]), quantize(network, samples)
    assert (some.score_scale, some.density) == (same.score_scale, same.density)
    assert some.density != other.density


def test_a_network_of_zeros() -> None:
    integers = quantize(float_network(layer(np.zeros((3, 4)), np.zeros(3), 0), layer(np.zeros((2, 3)), [0, 0])), samples())
    assert reference.scores(integers, samples()).tolist() == [[0, 0]]


def test_an_output_of_no_weights_keeps_its_bias() -> None:
    integers = quantize(float_network(layer([[0, 0, 0, 0], [1, 1, 1, 1]], [0.75, 0])), samples())
    assert (reference.scores(integers, samples())[0, 0] * integers.score_scale) == pytest.approx(0.75, abs=integers.score_scale)


@pytest.mark.parametrize("size", [1e-44, 1e-38, 1e-20, 1e20, 1e37])
def test_weights_of_any_size(size: float) -> None:
    hidden = layer(np.full((3, 4), size), np.zeros(3), 0)
    integers = quantize(float_network(hidden, layer(np.ones((2, 3)), [0, 0])), samples())
    assert np.isfinite(integers.score_scale)
