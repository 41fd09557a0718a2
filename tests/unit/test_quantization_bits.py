"""Fewer bits, of inputs, weights and outputs; and scales that training has settled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from floatnets import LEAKY, RELU, error, float_network, layer, pixels, random_floats, weighted

from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import MaxPool
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import Activation, FloatDense
from ebpfnn.quantize.quantization import quantize


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("by", [RELU, LEAKY, Activation(low=-1, high=1), Activation(low=0.25)])
def test_outputs_keep_to_their_bits(bits: int, by: Activation) -> None:
    network = random_floats((20, 30, 4), by.slope, seed=4)
    hidden = replace(network.layers[0], activation=replace(by, bits=bits))
    network = replace(network, layers=(hidden, network.layers[1]))
    samples = pixels((20,), 200)
    integers = quantize(network, samples)
    first = weighted(integers)[0].requantization
    unsigned = by.slope == 0 or by.low >= 0
    assert first.high - first.low < 1 << bits
    assert (first.low >= 0) if unsigned else (-(1 << (bits - 1)) <= first.low < 0)
    values = reference.forward(integers.layers[0], samples.astype(np.int64))
    assert first.low <= values.min() < values.max() <= first.high
    assert error(network, integers, samples) < 0.012 * 2 ** (8 - bits)


def test_few_bits_of_a_leaky_relu_reach_less_far_below_0() -> None:
    network = random_floats((20, 200, 4), 0.125, seed=5)
    hidden = replace(network.layers[0], activation=Activation(0.125, bits=3))
    first = weighted(quantize(replace(network, layers=(hidden, network.layers[1])), pixels((20,), 200)))[0]
    assert (first.requantization.low, first.requantization.high) == (-1, 6)


@pytest.mark.parametrize(("by", "low", "high"), [(RELU, 0, 15), (LEAKY, -7, 7), (Activation(0, high=0.2), 0, 10)])
def test_a_scale_that_training_settled_is_kept(by: Activation, low: int, high: int) -> None:
    network = random_floats((20, 8, 4), by.slope, seed=6)
    hidden = replace(network.layers[0], activation=replace(by, bits=4, scale=0.02))
    first, last = weighted(quantize(replace(network, layers=(hidden, network.layers[1])), pixels((20,))))
    assert (first.requantization.low, first.requantization.high) == (low, high)
    scale = np.abs(network.layers[1].weights).max(axis=1) / 127
    assert np.allclose(last.bias, np.rint(network.layers[1].bias / (scale * 0.02)), atol=1)


@pytest.mark.parametrize("weight_bits", range(2, 9))
def test_fake_quantization_sees_the_same_integers(weight_bits: int) -> None:
    """What the docstring of quantize() promises to training, computed in float32 as training does."""
    random, largest = np.random.default_rng(weight_bits), 2 ** (weight_bits - 1) - 1
    weights = random.normal(0, 0.3, (50, 40)).astype(np.float32)
    weight_scale = (np.abs(weights).max(axis=1) / np.float32(largest) * np.float32(0.7)).astype(np.float32)
    by, scale = Activation(0.125, scale=0.017), np.float32(0.017)
    hidden = FloatDense(weights, np.zeros(50, np.float32), by, weight_bits, weight_scale)
    samples = pixels((40,), 300)
    first = quantize(float_network(hidden, layer(np.ones((2, 50)), [0, 0])), samples).layers[0]
    fake = np.clip(np.rint(weights / weight_scale[:, None]), -largest, largest)
    assert not isinstance(first, MaxPool)
    assert first.weights.tolist() == fake.tolist()
    sums = (samples.astype(np.float64) / 255) @ (fake * weight_scale[:, None]).T.astype(np.float64)
    steps = np.clip(np.floor(np.where(sums < 0, sums * 0.125, sums) / scale + 0.5), -127, 127)
    found = reference.forward(first, samples.astype(np.int64))
    assert (found != steps).mean() < 0.001
    assert np.abs(found - steps).max() <= 1


def test_scales_of_8_bit_weights_are_the_largest_by_127() -> None:
    network = random_floats((20, 8, 4), 0.125, seed=7)
    told = tuple(replace(each, weight_scale=np.abs(each.weights).max(axis=1) / np.float32(127)) for each in network.layers)
    one, other = (quantize(each, pixels((20,))) for each in (network, replace(network, layers=told)))
    for first, second in zip(weighted(one), weighted(other), strict=True):
        assert first.weights.tolist() == second.weights.tolist()
        assert first.requantization.positive.tolist() == second.requantization.positive.tolist()


@pytest.mark.parametrize("weight_bits", range(2, 8))
def test_few_bits_of_weights_clip_the_largest_where_that_loses_less(weight_bits: int) -> None:
    weights = np.random.default_rng(1).normal(size=(6, 400)).astype(np.float32)
    weights[0] = np.where(weights[0] < 0, -0.5, 0.5)
    only = FloatDense(weights, np.zeros(6, np.float32), weight_bits=weight_bits)
    found = weighted(quantize(float_network(only), pixels((400,), 1)))[0]
    largest = 2 ** (weight_bits - 1) - 1
    assert np.abs(found.weights).max() == largest
    assert np.abs(found.weights[0]).min() == largest, "two values need no clipping"
    unclipped = weights / np.abs(weights).max(axis=1, keepdims=True) * largest
    scale = found.requantization.positive / found.requantization.positive.max()
    values = found.weights * scale[:, None]
    best = [np.corrcoef(row, values[n])[0, 1] for n, row in enumerate(weights)]
    plain = [np.corrcoef(row, np.rint(unclipped[n]))[0, 1] for n, row in enumerate(weights)]
    assert (np.array(best) >= np.array(plain) - 1e-3).all()
    assert sum(best) > sum(plain) or weight_bits > 5


@pytest.mark.parametrize(
    "form",
    [
        InputFormat((20,), 1, (128,)),
        InputFormat((20,), 2, (50, 128, 200), True),
        InputFormat((20,), 4, tuple(range(8, 248, 16))),
    ],
)
def test_inputs_of_fewer_bits(form: InputFormat) -> None:
    network = replace(random_floats((20, 30, 4), 0.125, seed=8), input=form)
    integers = quantize(network, pixels((20,)))
    assert integers.input == form
    assert error(network, integers, pixels((20,), seed=1)) < 0.04
    same = np.array([[1, 2, 3, 4] * 5], np.uint8)
    assert logits(network, same * 0).tolist() == logits(network, np.minimum(same, form.thresholds[0] - 1)).tolist()
