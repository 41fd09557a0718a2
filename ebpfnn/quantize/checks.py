"""What is refused of the layers of a float network before they become integers."""

from __future__ import annotations

import math

import numpy as np

from ..network.layers import MaxPool, expect
from .floats import Activation, AvgPool, FloatAdd, FloatConcat, FloatLayer, FloatSquaredError
from .scales import SMALLEST


def check(layer: FloatLayer) -> None:
    """Raises :class:`ModelError` for a layer that cannot be quantized."""
    if isinstance(layer, (MaxPool, AvgPool, FloatSquaredError)):
        return
    if isinstance(layer, FloatAdd | FloatConcat):
        by = layer.activation
        expect(not by.functions and not by.slopes, "joins values, and has functions or slopes behind it; put a layer between")
        _check_activation(layer.activation)
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
    inside = all(0 <= each <= by.slope for each in by.slopes)
    expect(inside, f"has slopes of {min(by.slopes, default=0):g}..{max(by.slopes, default=0):g}, not within 0..{by.slope:g}")
    expect(2 <= by.bits <= 8, f"has outputs of {by.bits} bits; give 2 to 8")
    expect(by.low < by.high and by.high > 0, f"is clamped to {by.low}..{by.high}; give a low below a high above 0")
    given = by.scale is None or SMALLEST <= by.scale < math.inf
    expect(given, f"has an activation scale of {by.scale}; give a positive number, or None")
