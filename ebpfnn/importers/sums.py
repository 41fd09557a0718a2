"""Layers of a quantized graph while they are made: what is summed or joined, and what follows until it is rounded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import INT32_MAX, Conv2d, Dense, Layer, MaxPool, Window
from ..quantize import joining
from ..quantize.floats import Activation, FloatAdd, FloatConcat
from ..quantize.quantization import requantization
from ..quantize.scales import Range, clamped
from .steps import Floats, Quantize, Scale

IDENTITY = Activation()


@dataclass(eq=False, kw_only=True)
class Unrounded:
    """``rounded`` is what the outputs become behind ``activation``, None until that is known; ``pools`` come behind."""

    activation: Activation = IDENTITY
    rounded: Quantize | None = None
    pools: list[MaxPool] = field(default_factory=list)


@dataclass(eq=False)
class Sum(Unrounded):
    """Sums of ``weights`` (int64) worth ``unit`` each, [outputs]. ``bias`` is real. ``given`` is what the sums are of."""

    where: str
    weights: NDArray[np.int64]
    unit: Floats
    bias: Floats
    given: Range
    window: Window | None = None
    groups: int = 1

    def scale(self, step: Scale) -> None:
        """``(sum w x + b) * factor + offset``, whose weights take the sign of the factor, and the unit its magnitude."""
        if self.activation != IDENTITY:
            step.refuse("scales values behind an activation that nothing quantizes; quantize them between")
        if not step.factor.all():
            step.refuse("scales by 0; leave the channel out")
        self.weights = self.weights * np.sign(step.factor).astype(np.int64).reshape(-1, *(1,) * (self.weights.ndim - 1))
        self.unit, self.bias = self.unit * np.abs(step.factor), self.bias * step.factor + step.offset

    def layer(self, to: Range) -> tuple[Layer, Range]:
        """Equation 17: the zero point of the inputs goes into the bias. The range is what is left of ``to``.

        Raises :class:`ModelError` for what integers cannot do.
        """
        axes = tuple(range(1, self.weights.ndim))
        bias = np.rint(self.bias / self.unit) - self.given.zero_point * self.weights.sum(axis=axes)
        if not (np.abs(bias) <= INT32_MAX).all():
            raise ModelError(f"has a bias of {np.abs(bias).max():.3g} steps, past int32; quantize it again")
        weights, integers = self.weights.astype(np.int8), bias.astype(np.int32)
        found = clamped(to, self.activation)
        by = requantization(self.unit, self.activation.slope, found)
        if self.window is None:
            return Dense(weights, integers, by), found
        return Conv2d(weights, integers, by, self.window, self.groups, self.given.zero_point), found


@dataclass(eq=False)
class Joined(Unrounded):
    """The values of several layers, in ``given``: added, each times its factor, or channels side by side without factors."""

    where: str
    given: list[Range]
    factors: tuple[float, float] | None

    @property
    def unit(self) -> Floats:
        """What one step of a sum is worth, [1]; of channels side by side, that of each value."""
        if self.factors is None:
            return np.array([each.scale for each in self.given])
        return np.array([joining.factors(self.given, self.factors)[2]])

    def layer(self, to: Range) -> tuple[Layer, Range]:
        """Equations 24 and 25. The range is what is left of ``to``."""
        found = clamped(to, self.activation)
        join = FloatAdd(self.activation, self.factors) if self.factors else FloatConcat(self.activation)
        return joining.quantized(join, self.given, requantization, found), found
