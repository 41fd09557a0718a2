"""Float networks and calibration samples that cannot be quantized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from floatnets import RELU, convolution, float_network, layer, pixels, samples

from ebpfnn.errors import InputError, ModelError
from ebpfnn.network.layers import INT32_MAX, MaxPool, Window
from ebpfnn.quantize.floats import Activation, AvgPool, FloatDense, FloatLayer
from ebpfnn.quantize.quantization import quantize


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
    with pytest.raises(ModelError, match="network 'test', layer 1 has outputs that exceed float32; scale its weights down"):
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
