"""Post-training quantization: a float network and calibration samples become integers with proven bounds.

The equations are those of docs/quantization.md.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError
from ..network import QuantizedNetwork, reference
from ..network.encoding import levels
from ..network.layers import INT32_MAX, MAX_SHIFT, Conv2d, Dense, Layer, MaxPool, Requantization, expect, image_shape
from .float_reference import forward, output_shape, pool_window
from .floats import Activation, AvgPool, FloatConv2d, FloatLayer, Network
from .scales import SMALLEST, Range, activation_range, quantized_weights, score_range, weight_scales

_MOST_VALUES = 1 << 24
"""How many float64 values a layer's calibrated outputs may be: 128 MiB."""

_Floats = NDArray[np.float64]


def quantize(network: Network, calibration: NDArray[np.uint8]) -> QuantizedNetwork:
    """``network`` in integers, its activations' scales chosen on ``calibration``, uint8 ``[n, *shape]`` of pixels, n >= 1.

    A few hundred samples like those to come are enough; of more than fit 128 MiB in the widest layer, evenly spaced ones
    are used. The same network and samples give the same integers.

    What fake quantization in training must compute to see these integers, all in float32 with IEEE division:

    * weights: ``w = clip(rint(W / s_w), -q, q)``, ``rint`` to nearest even, ``q = 2^(weight_bits - 1) - 1``. ``s_w`` is the
      layer's ``weight_scale``, or for 8 bits ``max|W| / 127`` of each output (equation 2).
    * activations: ``clip(floor(v / scale + 0.5), low, high)``: halves go up. With a ``scale`` and ``bits`` the range is
      0..2^bits - 1 where the slope is 0 or ``low >= 0``, else -(2^(bits - 1) - 1)..2^(bits - 1) - 1, narrowed to
      ``rint(low / scale)..rint(high / scale)``.
    * the sum between them stays real: the integers differ from it by the rounding of the bias to ``s_w * s_x`` and of the
      multiplier to 31 bits (equations 3 and 9).

    The last layer gives int32 scores in one scale (equation 12), whatever its activation's ``bits`` and ``scale``.

    Raises :class:`ModelError`, naming the layer, for weights that are not finite or do not fit, and :class:`InputError` for
    calibration samples of another dtype or shape, or none.
    """
    calibration = _bounded(network, calibration)
    values = levels(network.input, calibration) / network.input.highest
    layers: list[Layer] = []
    found = Range(0, network.input.highest, 1 / network.input.highest)
    for number, layer in enumerate(network.layers):
        try:
            _check(layer)
            given, values = values.shape[1:], _forward(layer, values)
            last = number + 1 == len(network.layers)
            integers, found = _quantize_layer(layer, given, found, None if last else values)
        except ModelError as error:
            raise ModelError(f"network '{network.name}', layer {number} {error}") from error
        layers.append(integers)
    try:
        whole = QuantizedNetwork(
            network.name,
            network.input,
            network.labels,
            tuple(layers),
            found.scale,
            card=network.card,
            events=network.events,
            result=network.result,
        )
    except ModelError as error:
        raise ModelError(f"network '{network.name}': {error}") from error
    return replace(whole, density=reference.density(whole, calibration))


def _bounded(network: Network, calibration: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """So many of the samples, evenly spaced, that no layer's values take more than ``_MOST_VALUES``."""
    shape = network.input.shape
    if calibration.dtype != np.uint8 or calibration.shape[1:] != shape or calibration.ndim == 0:
        given = f"{calibration.dtype} {list(calibration.shape)}"
        raise InputError(f"calibration samples: {given}; give uint8 [n, *{list(shape)}]")
    if not len(calibration):
        raise InputError("calibration samples: none given; give at least one, preferably some hundreds")
    count = min(len(calibration), max(1, _MOST_VALUES // _widest(network)))
    return calibration[np.arange(count) * len(calibration) // count]


def _widest(network: Network) -> int:
    """The most values that any layer is given or gives."""
    shapes = [network.input.shape]
    for number, layer in enumerate(network.layers):
        try:
            shapes.append(output_shape(layer, shapes[-1]))
        except ModelError as error:
            raise ModelError(f"network '{network.name}', layer {number} {error}") from error
    return max(map(math.prod, shapes))


def _forward(layer: FloatLayer, values: _Floats) -> _Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = forward(layer, values)
    within = bool((np.abs(outputs) <= np.finfo(np.float32).max).all())  # NaN compares false
    expect(within, "has outputs that exceed float32; scale its weights down")
    return outputs


def _check(layer: FloatLayer) -> None:
    if isinstance(layer, (MaxPool, AvgPool)):
        return
    finite = np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all()
    expect(bool(finite), "has weights or a bias that hold NaN or infinity; train again with a lower learning rate")
    expect(2 <= layer.weight_bits <= 8, f"has weights of {layer.weight_bits} bits; give 2 to 8")
    scale = layer.weight_scale
    if scale is not None:
        fits = scale.shape == layer.bias.shape and np.isfinite(scale).all() and bool((scale >= SMALLEST).all())
        expect(bool(fits), "has a weight_scale that is not one positive number an output; give float32 [outputs], or None")
    _check_activation(layer.activation)


def _check_activation(by: Activation) -> None:
    expect(0 <= by.slope <= 1, f"has a slope of {by.slope}, not within 0..1; use ReLU, LeakyReLU or the identity")
    expect(2 <= by.bits <= 8, f"has outputs of {by.bits} bits; give 2 to 8")
    expect(by.low < by.high and by.high > 0, f"is clamped to {by.low}..{by.high}; give a low below a high above 0")
    given = by.scale is None or SMALLEST <= by.scale < math.inf
    expect(given, f"has an activation scale of {by.scale}; give a positive number, or None")


def _quantize_layer(layer: FloatLayer, shape: tuple[int, ...], given: Range, outputs: _Floats | None) -> tuple[Layer, Range]:
    """The integers of ``layer`` for inputs of ``shape`` in ``given``, and what its outputs are in.

    ``outputs`` are its calibrated values, None for the last layer.
    """
    if isinstance(layer, MaxPool):
        return layer, given
    if isinstance(layer, AvgPool):
        return _average(layer, shape, given, last=outputs is None)
    scales = weight_scales(layer, given.scale)
    unit = scales * given.scale
    by = layer.activation
    found = score_range(by, unit) if outputs is None else activation_range(by, outputs)
    steps = requantization(unit, by.slope, found)
    weights, bias = quantized_weights(layer, scales), np.rint(layer.bias / unit).astype(np.int32)
    if isinstance(layer, FloatConv2d):
        return Conv2d(weights, bias, steps, layer.window, layer.groups), found
    return Dense(weights, bias, steps), found


def _average(layer: AvgPool, shape: tuple[int, ...], given: Range, *, last: bool) -> tuple[Conv2d, Range]:
    """Equation 16: a depthwise convolution of ones, whose sums are worth 1 / area each; the scale stays, for all but scores."""
    window, channels = pool_window(layer, shape), image_shape(shape)[0]
    unit = np.full(channels, given.scale / math.prod(window.kernel))
    found = score_range(Activation(), unit) if last else given
    weights, bias = np.ones((channels, 1, *window.kernel), np.int8), np.zeros(channels, np.int32)
    return Conv2d(weights, bias, requantization(unit, 1.0, found), window, channels), found


def requantization(unit: NDArray[np.float64], slope: float, found: Range) -> Requantization:
    """Equation 9: the multipliers for accumulators worth ``unit`` each, float64 [channels], and outputs in ``found``.

    Raises :class:`ModelError` where an accumulator is worth more than 2^30 steps of the output.
    """
    real = unit / found.scale
    shift = _shift(float(real.max()))
    positive, negative = (np.rint(np.ldexp(real * each, shift)).astype(np.int32) for each in (1.0, slope))
    return Requantization(positive, negative, shift, found.low, found.high, found.zero_point, slope)


def _shift(largest: float) -> int:
    """Equation 10: the largest shift at which ``largest`` still makes a multiplier of at most 31 bits."""
    mantissa, exponent = math.frexp(largest)
    shift = 31 - exponent
    if np.rint(math.ldexp(mantissa, 31)) > INT32_MAX:
        shift -= 1
    expect(
        shift >= 1 and math.isfinite(largest),
        f"has weights too large for its outputs (factor {largest:.3g}); scale the layer down",
    )
    return min(shift, MAX_SHIFT)
