"""Choosing scales: the real value of one step of a layer's weights (equation 2) and of its outputs (equations 11 and 12).

The equations are those of docs/quantization.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import INT32_MAX, INT32_MIN
from . import functions
from .floats import Activation, FloatConv2d, FloatDense

LARGEST_BIAS = 1 << 24
"""Leaves the rest of int32 to the products: 127 * 255 * 65,000 inputs."""
SMALLEST = float(np.finfo(np.float32).tiny)
"""The smallest step: below it float32 loses precision. What is smaller counts as 0."""
_FRACTIONS = np.linspace(1.0, 0.05, 96)
"""Of the scale that clips nothing: the candidates of equation 11."""
_SEARCHED = 1 << 17
"""How many values a search looks at: a convolution's are millions, and tell no more."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Range:
    """What a layer's outputs are clipped to, the real value of one step, and the integer that stands for 0."""

    low: int
    high: int
    scale: float
    zero_point: int = 0


def weight_scales(layer: FloatDense | FloatConv2d, input_scale: float) -> _Floats:
    """Equation 2: the real value of one step of each output's weights, float64 [outputs].

    In float32 throughout, as training computes them, so that training's scales are these bit for bit. A bias that is huge
    beside its weights widens the step, so that it stays below ``LARGEST_BIAS`` (equation 3).
    """
    weights = layer.weights.reshape(len(layer.weights), -1)
    chosen = _best_weight_scales(weights, layer.weight_bits) if layer.weight_scale is None else layer.weight_scale
    for_bias = np.abs(layer.bias.astype(np.float64)) / (input_scale * LARGEST_BIAS)
    scales: _Floats = np.maximum(chosen.astype(np.float64), for_bias)
    # An output that is always 0 may have any step; the widest one takes no precision from the shared shift.
    scales[scales < SMALLEST] = scales.max() if scales.max() >= SMALLEST else 1.0
    return scales


def quantized_weights(layer: FloatDense | FloatConv2d, scales: _Floats) -> NDArray[np.int8]:
    """Equation 2: int8 weights of the layer's shape, within ``largest_weight(layer.weight_bits)`` of 0."""
    steps = layer.weights / scales.astype(np.float32).reshape(-1, *(1,) * (layer.weights.ndim - 1))
    limit = largest_weight(layer.weight_bits)
    integers: NDArray[np.int8] = np.clip(np.rint(steps), -limit, limit).astype(np.int8)
    return integers


def largest_weight(bits: int) -> int:
    """The range is symmetric: -127..127 for 8 bits, -1..1 for 2."""
    return (1 << (bits - 1)) - 1


def _best_weight_scales(weights: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """The scales that clip nothing for 8 bits; for fewer, of some that clip, the one each output loses least by."""
    widest: NDArray[np.float32] = np.abs(weights).max(axis=1) / np.float32(largest_weight(bits))
    if bits == 8:
        return widest
    best, least = widest, np.full(len(weights), np.inf)
    for fraction in _FRACTIONS:
        scales = np.maximum(widest * np.float32(fraction), SMALLEST)
        integers = np.clip(np.rint(weights / scales[:, None]), -largest_weight(bits), largest_weight(bits))
        losses = np.square(integers * scales[:, None] - weights, dtype=np.float64).sum(axis=1)
        best, least = np.where(losses < least, scales, best), np.minimum(losses, least)
    return best


def activation_range(activation: Activation, outputs: _Floats) -> Range:
    """Equation 11: of some scales, the one that loses least of ``outputs``: clipping rare peaks buys finer steps.

    Raises :class:`ModelError` where an activation's own clamp leaves nothing at its scale.
    """
    if activation.scale is not None:
        return clamped(replace(_ranges(activation)[0], scale=activation.scale), activation)
    seen = _some(outputs)
    lowest, highest = float(outputs.min()), float(outputs.max())
    if max(-lowest, highest) < SMALLEST:
        return _ranges(activation)[0]
    candidates = [
        replace(each, scale=max(highest / each.high, lowest / each.low if each.low else 0) * fraction)
        for each in _ranges(activation)
        for fraction in _FRACTIONS
    ]
    return clamped(min(candidates, key=lambda each: _loss(each, seen)), activation)


def average_range(given: Range, outputs: _Floats) -> Range:
    """Equation 16: ``given``, that of what is averaged, in the steps of which the averages, ``outputs``, lose least."""
    below, above = given.low - given.zero_point, given.high - given.zero_point
    ends = (float(outputs.min()) / below if below else 0.0, float(outputs.max()) / above if above else 0.0)
    if max(ends) < SMALLEST:
        return given
    seen = _some(outputs)
    candidates = [replace(given, scale=max(ends) * fraction) for fraction in _FRACTIONS]
    return min(candidates, key=lambda each: _loss(each, seen))


def function_range(activation: Activation, outputs: _Floats) -> tuple[Range, Range, NDArray[np.int16]]:
    """Equation 26: the range of the bytes that functions are computed of, that of their results, and the table.

    ``outputs`` are calibrated values before the functions. The scale of the bytes is the one of equation 11's that loses least
    of what the functions make of them.
    """
    given, seen = replace(activation, functions=(), bits=8, scale=None), _some(outputs)
    wanted, whole = functions.apply(activation.functions, seen), _ranges(given)[0]
    within = bool((np.abs(wanted) <= np.finfo(np.float32).max).all())
    if not within:
        raise ModelError(
            f"has a function, {functions.named(activation.functions)}, whose values exceed float32; clip before it"
        )
    lowest, highest = float(seen.min()), float(seen.max())
    index, least = whole, np.inf
    for fraction in _FRACTIONS if max(-lowest, highest) >= SMALLEST else ():
        scale = max(highest / whole.high, lowest / whole.low if whole.low else 0.0) * fraction
        if scale < SMALLEST:
            continue
        steps = np.clip(np.floor(seen / scale + 0.5), whole.low, whole.high).astype(np.int64)
        real = functions.apply(activation.functions, np.arange(whole.low, whole.high + 1) * np.float64(scale))
        loss = float(np.square(real[steps - whole.low] - wanted).mean())
        index, least = (replace(whole, scale=scale), loss) if loss < least else (index, least)
    index = clamped(index, given)
    return index, *_table(activation, index)


def _table(activation: Activation, index: Range) -> tuple[Range, NDArray[np.int16]]:
    bytes_ = np.arange(index.low, index.high + 1)
    real = functions.apply(activation.functions, (bytes_ * index.scale).astype(np.float64))
    low, high = min(0.0, float(real.min())), max(0.0, float(real.max()))
    scale = activation.scale or max((high - low) / 255, SMALLEST)
    point = 0 if activation.scale else int(np.floor(-low / scale + 0.5))
    ends = (-128, 127) if activation.scale and low < 0 else (0, (1 << activation.bits) - 1 if activation.scale else 255)
    values = np.clip(np.floor(real / scale + 0.5) + point, *ends).astype(np.int16)
    table = np.full(256, values[0], np.int16)
    table[bytes_ & 255] = values
    return Range(*((-128, 127) if table.min() < 0 else (0, 255)), scale, point), table


def score_range(activation: Activation, unit: _Floats) -> Range:
    """Equation 12: one scale for all scores, so wide that no score is larger than its accumulator, which fits int32."""
    return clamped(Range(INT32_MIN, INT32_MAX, float(unit.max())), activation)


def _ranges(activation: Activation) -> list[Range]:
    """The integers that outputs may be clipped to, the one for a given scale first; for a scale of 1.

    Of fewer than 8 bits none is to spare, and a LeakyReLU's outputs lie mostly above 0: ranges that reach less far below
    it are tried too.
    """
    bits = activation.bits
    if activation.slope == 0 or activation.low >= 0:
        return [Range(0, (1 << bits) - 1, 1.0)]
    symmetric = Range(-largest_weight(bits), largest_weight(bits), 1.0)
    return [symmetric] + [Range(-(1 << below), (1 << bits) - 1 - (1 << below), 1.0) for below in range(bits - 1) if bits < 8]


def clamped(found: Range, activation: Activation) -> Range:
    """``found`` within the limits of ``activation``. Raises :class:`ModelError` where they leave nothing."""
    ends = (np.rint(end / found.scale) + found.zero_point for end in (activation.low, activation.high))
    low, high = (float(np.clip(end, found.low, found.high)) for end in ends)
    if low >= high:
        clamp = f"{activation.low:g}..{activation.high:g}"
        raise ModelError(f"is clamped to {clamp}, of which a step of {found.scale:.3g} leaves nothing; give a smaller scale")
    return replace(found, low=int(low), high=int(high))


def _loss(candidate: Range, values: _Floats) -> float:
    point = candidate.zero_point
    steps = np.clip(np.rint(values / candidate.scale), candidate.low - point, candidate.high - point)
    return float(np.square(steps * candidate.scale - values).mean())


def _some(values: _Floats) -> _Floats:
    """At most ``_SEARCHED`` of ``values``, the same ones each time.

    Their places are multiples of a prime near the golden ratio times 2^32: even, and in step with no row or channel.
    """
    flat = values.reshape(-1)
    return flat if len(flat) <= _SEARCHED else flat[np.arange(_SEARCHED) * 2_654_435_761 % len(flat)]
