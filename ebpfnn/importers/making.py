"""Layers of a float network while they are made, in float64: rounding to float32 comes last."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..network.layers import MaxPool, expect
from ..quantize.floats import Activation, AvgPool, FloatAdd, FloatConcat, FloatConv2d, FloatDense, FloatLayer
from ..quantize.scales import SMALLEST, largest_weight
from .steps import Conv, Floats, Linear, Step

IDENTITY = Activation()


@dataclass(frozen=True, eq=False)
class Weighted:
    """A layer with weights, and what it does to their sums."""

    step: Linear | Conv
    activation: Activation = IDENTITY

    def takes(self, factor: Floats, offset: Floats) -> bool:
        """Whether outputs can be scaled and moved: by one number, or one an output, before the activation."""
        sizes = (1, len(self.step.bias))
        return self.activation == IDENTITY and factor.size in sizes and offset.size in sizes

    def scaled(self, factor: Floats, offset: Floats) -> Weighted:
        rows = factor.reshape(-1, *(1,) * (self.step.weights.ndim - 1))
        step = replace(self.step, weights=self.step.weights * rows, bias=self.step.bias * factor + offset, integers=None)
        return Weighted(step)


@dataclass(frozen=True)
class Joined:
    """A layer that joins the values of several; ``factors`` as in :class:`.steps.Join`."""

    factors: tuple[float, float] | None
    activation: Activation = IDENTITY

    def takes(self, factor: Floats, offset: Floats) -> bool:
        """Whether the sum can be scaled by ``factor``, before the activation, in place of its values."""
        alone = factor.size == 1 and bool(factor.all()) and not offset.any()
        return self.factors is not None and self.activation == IDENTITY and alone

    def scaled(self, factor: float) -> Joined:
        one, other = self.factors or (1.0, 1.0)
        return Joined((one * factor, other * factor))


def float_layer(layer: Weighted | MaxPool | AvgPool | Joined) -> FloatLayer:
    if isinstance(layer, Joined):
        finite = bool(np.isfinite(layer.factors or (0.0,)).all())
        expect(finite, "adds values times what is no number; train again with a lower learning rate")
        return FloatAdd(layer.activation, layer.factors) if layer.factors else FloatConcat(layer.activation)
    if not isinstance(layer, Weighted):
        return layer
    step = layer.step
    weights, bias = _float32(step, step.weights), _float32(step, step.bias)
    own = _own_scale(step)
    if isinstance(step, Conv):
        return FloatConv2d(weights, bias, step.window, step.groups, layer.activation, weight_scale=own)
    return FloatDense(weights, bias, layer.activation, weight_scale=own)


def _own_scale(step: Linear | Conv) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    """What one step of each output's weights is worth, where the file has them as integers that a layer can have."""
    held = step.integers
    if held is None or np.abs(held.values).max() > largest_weight(8):
        return None
    outputs = len(step.bias)
    if held.scale.size != 1 and (held.scale.size != outputs or len(held.scale) != outputs):
        return None
    scale = np.broadcast_to(held.scale.reshape(-1), outputs).astype(np.float32)
    return np.ascontiguousarray(scale) if np.isfinite(scale).all() and (scale >= SMALLEST).all() else None


def _float32(step: Step, array: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Raises :class:`ModelError` for what is not finite in float32."""
    with np.errstate(over="ignore"):
        found = array.astype(np.float32)
    if not np.isfinite(found).all():
        step.refuse("has weights or a bias that hold NaN or infinity; train again with a lower learning rate")
    return np.ascontiguousarray(found)
