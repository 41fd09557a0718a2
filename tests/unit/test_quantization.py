"""Quantization: the example of docs/quantization.md, closeness to the float network, its bounds, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpfnn import reference
from ebpfnn.errors import InputError, ModelError
from ebpfnn.floats import Activation, AvgPool, FloatConv2d, FloatDense, FloatLayer, Network
from ebpfnn.layers import INT32_MAX, Conv2d, InputFormat, MaxPool, Shape, Weighted, Window, accumulator_bound
from ebpfnn.network import QuantizedNetwork
from ebpfnn.quantization import logits, quantize
from ebpfnn.scales import LARGEST_BIAS

RELU, LEAKY = Activation(slope=0), Activation(slope=0.125)


def layer(weights: object, bias: object, slope: float = 1.0, **more: Any) -> FloatDense:
    return FloatDense(np.asarray(weights, np.float32), np.asarray(bias, np.float32), Activation(slope), **more)


def float_network(*layers: FloatLayer, form: InputFormat | None = None, classes: int | None = None) -> Network:
    first, last = layers[0], layers[-1]
    count = classes or (len(last.bias) if isinstance(last, FloatDense) else 0)
    form = form or InputFormat((first.weights.shape[1],) if isinstance(first, FloatDense) else (8, 8))
    return Network("test", form, tuple(map(str, range(count))), layers)


def random_floats(widths: tuple[int, ...], slope: float, seed: int) -> Network:
    random = np.random.default_rng(seed)
    slopes = [slope] * (len(widths) - 2) + [1.0]
    shapes = zip(pairwise(widths), slopes, strict=True)
    layers = [layer(random.normal(0, i**-0.5, (o, i)), random.normal(0, 0.1, o), s) for (i, o), s in shapes]
    return float_network(*layers)


def convolution(shape: Shape, by: Activation, seed: int, window: Window | None = None, **more: Any) -> FloatConv2d:
    """Of weights ``shape``: [channels, input channels / groups, rows, columns]."""
    random = np.random.default_rng(seed)
    window = window or Window((shape[2], shape[3]))
    weights = random.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32)
    return FloatConv2d(weights, random.normal(0, 0.1, shape[0]).astype(np.float32), window, activation=by, **more)


def pixels(shape: Shape, count: int = 100, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


def error(network: Network, integers: QuantizedNetwork, samples: np.ndarray) -> float:
    """Of the scores, root mean square, as a share of the logits'."""
    exact, found = logits(network, samples), reference.scores(integers, samples) * integers.score_scale
    return float(np.sqrt(np.square(found - exact).mean() / np.square(exact).mean()))


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


def weighted(network: QuantizedNetwork) -> list[Weighted]:
    return [each for each in network.layers if not isinstance(each, MaxPool)]


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


def test_an_average_is_a_convolution_of_ones_that_keeps_scale_and_range() -> None:
    network = float_network(
        convolution((3, 1, 3, 3), RELU, 1), AvgPool(Window((2, 2), (2, 2))), layer(np.ones((2, 27)), [0, 1])
    )
    first, average, _ = weighted(quantize(network, pixels((8, 8))))
    assert isinstance(average, Conv2d)
    assert (average.groups, average.weights.tolist(), average.bias.tolist()) == (3, [[[[1, 1], [1, 1]]]] * 3, [0] * 3)
    sums = np.arange(0, 1021).reshape(1, 1, 1, -1).repeat(3, axis=1)
    assert (reference.requantize(average.requantization, sums) == np.floor(sums / 4 + 0.5)).all()
    assert (average.requantization.low, average.requantization.high) == (first.requantization.low, first.requantization.high)


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
    monkeypatch.setattr("ebpfnn.quantization._MOST_VALUES", 30 * 144 + 100)
    some = quantize(network, samples)
    monkeypatch.undo()
    same, other = quantize(network, samples[::3]), quantize(network, samples)
    assert (some.score_scale, some.density) == (same.score_scale, same.density)
    assert some.density != other.density


def test_a_network_of_zeros() -> None:
    integers = quantize(float_network(layer(np.zeros((3, 4)), np.zeros(3), 0), layer(np.zeros((2, 3)), [0, 0])), samples())
    assert reference.scores(integers, samples()).tolist() == [[0, 0]]


def samples() -> np.ndarray:
    return np.array([[1, 2, 3, 255]], np.uint8)


def test_an_output_of_no_weights_keeps_its_bias() -> None:
    integers = quantize(float_network(layer([[0, 0, 0, 0], [1, 1, 1, 1]], [0.75, 0])), samples())
    assert (reference.scores(integers, samples())[0, 0] * integers.score_scale) == pytest.approx(0.75, abs=integers.score_scale)


@pytest.mark.parametrize("size", [1e-44, 1e-38, 1e-20, 1e20, 1e37])
def test_weights_of_any_size(size: float) -> None:
    hidden = layer(np.full((3, 4), size), np.zeros(3), 0)
    integers = quantize(float_network(hidden, layer(np.ones((2, 3)), [0, 0])), samples())
    assert np.isfinite(integers.score_scale)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["weights", "bias"])
def test_weights_that_are_not_finite(bad: float, where: str) -> None:
    weights, bias = np.ones((2, 3)), np.ones(2)
    (weights if where == "weights" else bias)[..., 0] = bad
    with pytest.raises(
        ModelError, match="network 'test', layer 1 has weights or a bias that hold NaN or infinity; train again"
    ):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3)), layer(weights, bias)), samples())


def test_outputs_that_overflow() -> None:
    network = float_network(layer(np.full((1, 4), 1e38), [0]), layer([[1e38]], [0]), layer([[1]], [0]))
    with pytest.raises(ModelError, match="network 'test', layer 1 has outputs past any float32; scale its weights down"):
        quantize(network, samples())


@pytest.mark.parametrize(
    ("by", "fact"),
    [
        (Activation(slope=-0.1), "has a slope of -0.1, not within 0..1; use ReLU"),
        (Activation(slope=1.5), "has a slope of 1.5, not within 0..1"),
        (Activation(slope=float("nan")), "has a slope of nan, not within 0..1"),
        (Activation(bits=1), "has outputs of 1 bits; give 2 to 8"),
        (Activation(bits=9), "has outputs of 9 bits; give 2 to 8"),
        (Activation(low=1, high=0), "is clamped to 1..0; give a low below a high above 0"),
        (Activation(low=-2, high=-1), "is clamped to -2..-1; give a low below a high above 0"),
        (Activation(low=float("nan")), "is clamped to nan..inf; give"),
        (Activation(scale=0), "has an activation scale of 0; give a positive number"),
        (Activation(scale=float("nan")), "has an activation scale of nan; give a positive number"),
        (
            Activation(slope=0, high=6, scale=100),
            "is clamped to -inf..6, of which a step of 100 leaves nothing; give a smaller",
        ),
        (Activation(scale=1e-30), "has weights too large for its outputs"),
    ],
)
def test_activations_that_cannot_be(by: Activation, fact: str) -> None:
    hidden = FloatDense(np.ones((3, 4), np.float32), np.ones(3, np.float32), by)
    with pytest.raises(ModelError, match=f"network 'test', layer 0 {fact}"):
        quantize(float_network(hidden, layer(np.ones((2, 3)), [0, 0])), samples())


@pytest.mark.parametrize("scale", [np.zeros(3), np.full(3, np.nan), np.ones(2), np.full(3, -1.0), np.full(3, np.inf)])
def test_weight_scales_that_cannot_be(scale: np.ndarray) -> None:
    with pytest.raises(ModelError, match="layer 0 has a weight_scale that is not one positive number an output; give float32"):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3), weight_scale=scale.astype(np.float32))), samples())


@pytest.mark.parametrize("bits", [1, 9])
def test_weights_of_bits_that_cannot_be(bits: int) -> None:
    with pytest.raises(ModelError, match=f"layer 0 has weights of {bits} bits; give 2 to 8"):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3), weight_bits=bits)), samples())


def test_layers_that_do_not_fit() -> None:
    with pytest.raises(
        ModelError, match=r"'test', layer 1 has weights \[2, 4\] and bias \[2\], which do not fit 3; give \[out"
    ):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3)), layer(np.ones((2, 4)), np.ones(2))), samples())


@pytest.mark.parametrize(
    ("wrong", "fact"),
    [
        (
            convolution((4, 2, 3, 3), RELU, 1),
            r"has weights \[4, 2, 3, 3\] and bias \[4\], which do not fit 8x8; give \[channels, 1",
        ),
        (convolution((4, 1, 3, 3), RELU, 1, groups=2), "splits 1 channels in 2 groups; give a divisor"),
        (convolution((4, 1, 9, 3), RELU, 1), "has a window larger than its input, 8x8"),
        (MaxPool(Window((9, 9))), "has a window larger than its input, 8x8"),
        (AvgPool(Window((9, 9))), "has a window larger than its input, 8x8"),
    ],
)
def test_images_that_do_not_fit(wrong: FloatLayer, fact: str) -> None:
    with pytest.raises(ModelError, match=f"network 'test', layer 0 {fact}"):
        quantize(float_network(wrong, classes=4), pixels((8, 8)))


def test_an_average_of_what_is_flat() -> None:
    with pytest.raises(ModelError, match="layer 1 needs an image but is given 3"):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3)), AvgPool(), classes=3), samples())


def test_a_layer_too_large_for_its_accumulator() -> None:
    inputs = INT32_MAX // (127 * 255) + 1
    wide = float_network(layer(np.ones((1, inputs)), [0]))
    with pytest.raises(ModelError, match=r"network 'test': layer 0 can reach \|accumulator\| [0-9]+, past int32; use smaller"):
        quantize(wide, np.zeros((1, inputs), np.uint8))


def test_labels_that_are_not_as_many_as_the_outputs() -> None:
    network = replace(float_network(layer(np.ones((3, 4)), np.ones(3))), labels=("a", "b"))
    with pytest.raises(ModelError, match="network 'test': the last layer has 3 outputs but there are 2 labels"):
        quantize(network, samples())


@pytest.mark.parametrize("given_", [np.zeros((0, 4), np.uint8), np.zeros((2, 5), np.uint8), np.zeros((2, 4)), np.uint8(3)])
def test_calibration_that_cannot_be(given_: np.ndarray) -> None:
    with pytest.raises(InputError, match="calibration samples: "):
        quantize(float_network(layer(np.ones((3, 4)), np.ones(3))), np.asarray(given_))
