"""Quantization: the example of docs/quantization.md, closeness to the float network, and its bounds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpfnn import reference
from ebpfnn.errors import InputError, ModelError
from ebpfnn.network import INT32_MAX, FloatDense, Network, accumulator_bound
from ebpfnn.quantization import INPUT_SCALE, LARGEST_BIAS, forward, quantize


def layer(weights: object, bias: object, slope: float = 1.0) -> FloatDense:
    return FloatDense(np.asarray(weights, np.float32), np.asarray(bias, np.float32), slope)


def float_network(*layers: FloatDense) -> Network:
    labels = tuple(map(str, range(len(layers[-1].bias))))
    return Network("test", (layers[0].weights.shape[1],), labels, layers)


def random_floats(widths: tuple[int, ...], slope: float, seed: int) -> Network:
    random = np.random.default_rng(seed)
    slopes = [slope] * (len(widths) - 2) + [1.0]
    shapes = zip(pairwise(widths), slopes, strict=True)
    layers = [layer(random.normal(0, i**-0.5, (o, i)), random.normal(0, 0.1, o), s) for (i, o), s in shapes]
    return float_network(*layers)


def logits(network: Network, samples: np.ndarray) -> np.ndarray:
    values = samples * INPUT_SCALE
    for each in network.layers:
        values = forward(each, values)
    return values


def test_the_example_of_the_documentation() -> None:
    hidden = layer([[1.27, 0.10], [-0.254, 0.12]], [0, 0.1], slope=0.125)
    output = layer([[0.127, 0.05], [-0.254, 0.10]], [0, 0.2])
    sample = np.array([[255, 51]], np.uint8)
    network = quantize(float_network(hidden, output), sample)
    first, last = network.layers
    assert first.weights.tolist() == [[127, 10], [-127, 60]]
    assert first.bias.tolist() == [0, 12750]
    accumulators = reference.accumulate(first, sample.astype(np.int64))
    assert accumulators.tolist() == [[32895, -16575]]
    assert first.shift == 39
    activations = reference.requantize(first, accumulators)
    assert activations.tolist() == [[127, -2]]
    assert last.weights.tolist() == [[127, 50], [-127, 50]]
    assert last.bias.tolist() == [0, 9845]
    assert reference.accumulate(last, activations).tolist() == [[16029, -6384]]
    assert (last.positive.tolist(), last.shift) == ([1 << 29, 1 << 30], 30)
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


@pytest.mark.parametrize(("slope", "low", "high"), [(0, 0, 255), (0.125, -127, 127), (1, -127, 127)])
def test_the_slope_chooses_the_activations_range_and_the_second_multiplier(slope: float, low: int, high: int) -> None:
    network = random_floats((20, 8, 4), slope, seed=3)
    first, last = quantize(network, np.full((1, 20), 200, np.uint8)).layers
    assert (first.low, first.high) == (low, high)
    assert np.abs(first.negative - first.positive * slope).max() <= 1
    assert 1 << 30 <= int(first.positive.max()) <= INT32_MAX
    assert last.positive.tolist() == last.negative.tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-12, 1e-3, 1.0, 1e3, 1e6]))
def test_scores_never_saturate(seed: int, largest_bias: float) -> None:
    random = np.random.default_rng(seed)
    only = layer(random.normal(size=(5, 30)) * random.choice([0, 1e-6, 1], (5, 1)), random.normal(size=5) * largest_bias)
    integers = quantize(float_network(only), np.zeros((1, 30), np.uint8)).layers[0]
    bound = np.array([[accumulator_bound(integers, False)] * 5])
    for reach in (bound, -bound):
        assert (np.abs(reference.requantize(integers, reach)) <= bound).all()
    assert int(np.abs(integers.bias.astype(np.int64)).max()) <= LARGEST_BIAS


def test_a_network_of_zeros() -> None:
    integers = quantize(float_network(layer(np.zeros((3, 4)), np.zeros(3), 0), layer(np.zeros((2, 3)), [0, 0])), samples())
    assert reference.scores(integers, samples()).tolist() == [[0, 0]]


def samples() -> np.ndarray:
    return np.array([[1, 2, 3, 255]], np.uint8)


def test_an_output_of_no_weights_keeps_its_bias() -> None:
    integers = quantize(float_network(layer([[0, 0, 0, 0], [1, 1, 1, 1]], [0.75, 0])), samples())
    assert (reference.scores(integers, samples())[0, 0] * integers.score_scale) == pytest.approx(0.75, abs=integers.score_scale)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["weights", "bias"])
def test_weights_that_are_not_finite(bad: float, where: str) -> None:
    weights, bias = np.ones((2, 3)), np.ones(2)
    (weights if where == "weights" else bias)[..., 0] = bad
    with pytest.raises(ModelError, match="network 'test', layer 1: weights or bias hold NaN or infinity; train again"):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3)), layer(weights, bias)), samples())


@pytest.mark.parametrize("slope", [-0.1, 1.5, float("nan")])
def test_slopes_that_cannot_be(slope: float) -> None:
    with pytest.raises(ModelError, match=r"layer 0: slope .* is not within 0..1"):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3), slope)), samples())


def test_layers_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match=r"layer 1: weights \[2, 4\] and bias \[2\] do not fit 3 inputs"):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3)), layer(np.ones((2, 4)), np.ones(2))), samples())


@pytest.mark.parametrize("given_", [np.zeros((0, 4), np.uint8), np.zeros((2, 5), np.uint8), np.zeros((2, 4)), np.uint8(3)])
def test_calibration_that_cannot_be(given_: np.ndarray) -> None:
    with pytest.raises(InputError, match="calibration samples: "):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3))), np.asarray(given_))
