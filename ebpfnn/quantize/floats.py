"""A network before quantization: what was trained, as frozen dataclasses over float32 arrays, without PyTorch.

:mod:`ebpfnn.quantize.quantization` turns it into a :class:`~ebpfnn.network.QuantizedNetwork`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.graph import Sources, chain
from ..network.inputformat import InputFormat
from ..network.layers import MaxPool, Window
from ..network.model import LABEL
from .functions import Function

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Activation:
    """What follows a layer: ``f(v) = clip(v if v >= 0 else slope * v, low, high)``.

    ============ =============================
    identity     ``Activation()``
    ReLU         ``Activation(slope=0)``
    LeakyReLU    ``Activation(slope=0.125)``
    ReLU6        ``Activation(slope=0, high=6)``
    Hardtanh     ``Activation(low=-1, high=1)``
    ============ =============================

    ``bits`` is the precision of the quantized outputs, 2 to 8. ``scale`` is the real value of one step of them where training
    with quantization has settled it; None lets calibration choose it.

    ``slopes`` has a slope of its own for each output or channel (PReLU), of which ``slope`` is the largest. ``functions`` come
    behind, one after the other: tanh, SiLU and others, which a table computes (equation 26).
    """

    slope: float = 1.0
    low: float = -np.inf
    high: float = np.inf
    bits: int = 8
    scale: float | None = None
    slopes: tuple[float, ...] = ()
    functions: tuple[Function, ...] = ()


@dataclass(frozen=True, eq=False)
class FloatDense:
    """``f(weights @ x + bias)`` over the flattened input: float32 [outputs, inputs] and [outputs].

    ``weight_bits`` is the precision of the quantized weights: 8, or 2 to 7 for fewer (2: -1, 0 and 1). ``weight_scale``,
    float32 [outputs], is the real value of one step of each output's weights where training with quantization has settled
    it; None lets quantization choose it.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: Activation = field(default_factory=Activation)
    weight_bits: int = 8
    weight_scale: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class FloatConv2d:
    """A convolution and what follows it: weights float32 [channels, input channels / groups, rows, columns].

    Padding is real 0. ``weight_bits`` and ``weight_scale`` as in :class:`FloatDense`.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    window: Window
    groups: int = 1
    activation: Activation = field(default_factory=Activation)
    weight_bits: int = 8
    weight_scale: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class AvgPool:
    """The average of each window, channel by channel; padding counts as 0. A ``window`` of None covers the whole image."""

    window: Window | None = None


@dataclass(frozen=True)
class FloatAdd:
    """The sum of two values of one shape, each times its factor, and what follows it: neither functions nor ``slopes``."""

    activation: Activation = field(default_factory=Activation)
    factors: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class FloatConcat:
    """The channels of several values, one after the other, and what follows: neither functions nor ``slopes``."""

    activation: Activation = field(default_factory=Activation)


@dataclass(frozen=True)
class FloatSquaredError:
    """The mean of the squared differences of two values of one shape, times ``factor``: one number. It ends a network.

    ``factor`` brings it from the units of samples, 0..1, to those of what the trained network was given.
    """

    factor: float = 1.0


FloatJoin = FloatAdd | FloatConcat
FloatSingle = FloatDense | FloatConv2d | MaxPool | AvgPool
FloatLayer = FloatSingle | FloatJoin | FloatSquaredError


@dataclass(frozen=True, eq=False)
class Network:
    """A float network over samples of ``input``, whose levels 0..highest stand for 0..1 (8 bits: ``x / 255``).

    ``card``, ``events``, ``result`` and ``sources`` as in :class:`~ebpfnn.network.QuantizedNetwork`.
    """

    name: str
    input: InputFormat
    labels: tuple[str, ...]
    layers: tuple[FloatLayer, ...]
    card: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    events: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    result: str = LABEL
    sources: Sources = ()

    @property
    def takes(self) -> Sources:
        """The sources of every layer, of a chain too."""
        return self.sources or chain(len(self.layers))
