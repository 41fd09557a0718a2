"""Post-training quantization: a float network and calibration samples become integers with proven bounds.

The equations are those of docs/quantization.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InputError, ModelError
from .network import INT32_MAX, INT32_MIN, MAX_SHIFT, Dense, FloatDense, Network, QuantizedNetwork

INPUT_SCALE = 1 / 255
LARGEST_WEIGHT = 127
LARGEST_BIAS = 1 << 24
"""Leaves the rest of int32 to the products: 127 * 255 * 65,000 inputs."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Range:
    """What a layer's outputs are clipped to, and the real value of one step."""

    low: int
    high: int
    scale: float


def quantize(network: Network, calibration: NDArray[np.uint8]) -> QuantizedNetwork:
    """``network`` in integers, its activations' scales chosen on ``calibration``, uint8 [n, *shape], n >= 1.

    A few hundred samples like those to come are enough. Raises :class:`ModelError`, naming the layer, for weights that are
    not finite or do not fit, and :class:`InputError` for calibration samples of another dtype or shape, or none.
    """
    values = _calibration_values(network, calibration)
    layers: list[Dense] = []
    scale = INPUT_SCALE
    for number, layer in enumerate(network.layers):
        try:
            _check(layer, values.shape[1])
            values = forward(layer, values)
            integers, scale = _quantize_layer(layer, scale, None if number + 1 == len(network.layers) else values)
        except ModelError as error:
            raise ModelError(f"network '{network.name}', layer {number}: {error}") from error
        layers.append(integers)
    return QuantizedNetwork(network.name, network.input_shape, network.labels, tuple(layers), scale, network.card)


def forward(layer: FloatDense, values: _Floats) -> _Floats:
    """The outputs of a float layer, float64 [n, outputs], for ``values``, float64 [n, inputs]."""
    outputs = values @ layer.weights.T.astype(np.float64) + layer.bias
    activated: _Floats = np.where(outputs < 0, outputs * layer.slope, outputs)
    return activated


def _calibration_values(network: Network, calibration: NDArray[np.uint8]) -> _Floats:
    shape = network.input_shape
    if calibration.dtype != np.uint8 or calibration.shape[1:] != shape or calibration.ndim == 0:
        given = f"{calibration.dtype} {list(calibration.shape)}"
        raise InputError(f"calibration samples: {given}; give uint8 [n, *{list(shape)}]")
    if not len(calibration):
        raise InputError("calibration samples: there are none; give at least one, better some hundreds")
    return calibration.reshape(len(calibration), -1).astype(np.float64) * INPUT_SCALE


def _check(layer: FloatDense, inputs: int) -> None:
    if layer.weights.ndim != 2 or layer.weights.shape[1] != inputs or layer.bias.shape != layer.weights.shape[:1]:
        given = f"weights {list(layer.weights.shape)} and bias {list(layer.bias.shape)}"
        raise ModelError(f"{given} do not fit {inputs} inputs; give [outputs, {inputs}] and [outputs]")
    if not (np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all()):
        raise ModelError("weights or bias hold NaN or infinity; train again with a lower learning rate")
    if not 0 <= layer.slope <= 1:
        raise ModelError(f"slope {layer.slope} is not within 0..1; use ReLU, LeakyReLU or the identity")


def _quantize_layer(layer: FloatDense, input_scale: float, outputs: _Floats | None) -> tuple[Dense, float]:
    """The integers of ``layer`` and the scale of its outputs. ``outputs`` are its calibrated values, None for the last."""
    weight_scales = _weight_scales(layer, input_scale)
    unit = weight_scales * input_scale
    output = _score_range(unit) if outputs is None else _activation_range(outputs, layer.slope)
    real = unit / output.scale
    shift = _shift(float(real.max()))
    dense = Dense(
        weights=np.rint(layer.weights / weight_scales[:, None]).astype(np.int8),
        bias=np.rint(layer.bias / unit).astype(np.int32),
        positive=np.rint(np.ldexp(real, shift)).astype(np.int32),
        negative=np.rint(np.ldexp(real * layer.slope, shift)).astype(np.int32),
        shift=shift,
        low=output.low,
        high=output.high,
        slope=layer.slope,
    )
    return dense, output.scale


def _weight_scales(layer: FloatDense, input_scale: float) -> _Floats:
    """Equation 2: the real value of one step of each output's weights, float64 [outputs].

    A bias that is huge beside its weights widens the step, so that it stays below ``LARGEST_BIAS`` (equation 3).
    """
    for_weights = np.abs(layer.weights.astype(np.float64)).max(axis=1) / LARGEST_WEIGHT
    for_bias = np.abs(layer.bias.astype(np.float64)) / (input_scale * LARGEST_BIAS)
    scales: _Floats = np.maximum(for_weights, for_bias)
    # An output that is always 0 may have any step; the widest one takes no precision from the shared shift.
    scales[scales == 0] = scales.max() or 1.0
    return scales


def _shift(largest: float) -> int:
    """Equation 10: the largest shift at which ``largest`` still makes a multiplier of at most 31 bits."""
    mantissa, exponent = math.frexp(largest)
    shift = 31 - exponent
    if np.rint(math.ldexp(mantissa, 31)) > INT32_MAX:
        shift -= 1
    if shift < 1:
        raise ModelError(f"weights are too large for its outputs (factor {largest:.3g}); scale the layer down")
    return min(shift, MAX_SHIFT)


def _activation_range(outputs: _Floats, slope: float) -> _Range:
    """Equation 11: of some scales, the one that loses least of ``outputs``: clipping rare peaks buys finer steps."""
    low, high = (0, 255) if slope == 0 else (-127, 127)
    peak = float(np.abs(outputs).max())
    if peak == 0:
        return _Range(low, high, 1.0)
    scales = [peak * fraction / high for fraction in np.linspace(1.0, 0.3, 36)]
    losses = [np.square(np.clip(np.rint(outputs / scale), low, high) * scale - outputs).mean() for scale in scales]
    return _Range(low, high, scales[int(np.argmin(losses))])


def _score_range(unit: _Floats) -> _Range:
    """Equation 12: one scale for all scores, so wide that no score is larger than its accumulator, which fits int32."""
    return _Range(INT32_MIN, INT32_MAX, float(unit.max()))
