"""What a network is: its float form, which is trained, and its integer form, which runs.

Both are frozen dataclasses over numpy arrays and know nothing of PyTorch, files or the kernel. docs/quantization.md derives
the integers; :mod:`ebpfnn.reference` computes with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .errors import ModelError

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
MAX_CLASSES = 64
"""The longest score vector a result can carry: EBPFNN_MAX_SCORES of bpf/include/ebpfnn/abi.h."""
MAX_SHIFT = 62
"""The largest right shift whose rounding term still fits a signed 64-bit integer beside the product."""
_WIDEST_LAYER = 1 << 24
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class FloatDense:
    """A fully connected layer before quantization: ``y = f(weights @ x + bias)``.

    ``weights`` is float32 [outputs, inputs] and ``bias`` float32 [outputs]. ``f`` is the identity for ``slope`` 1, ReLU for
    0 and LeakyReLU for a slope between them.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    slope: float = 1.0


@dataclass(frozen=True, eq=False)
class Network:
    """A float network: samples are u8, scaled to 0..1 by ``x / 255`` before the first layer."""

    name: str
    input_shape: tuple[int, ...]
    labels: tuple[str, ...]
    layers: tuple[FloatDense, ...]
    card: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, eq=False)
class Dense:
    """A fully connected layer in integers (docs/quantization.md, equations 4 to 6).

    ========== ======= ================= ==========================================================
    weights    int8    [outputs, inputs] symmetric, -127..127, one scale an output
    bias       int32   [outputs]         in units of the accumulator
    positive   int32   [outputs]         multiplier of an accumulator >= 0
    negative   int32   [outputs]         multiplier of an accumulator < 0: the activation's slope is in it
    ========== ======= ================= ==========================================================

    ``output = clip((acc * multiplier + (1 << shift - 1)) >> shift, low, high)``. ``slope`` is what ``negative`` realizes
    (1 identity, 0 ReLU), kept for people and exporters; the arithmetic does not read it.

    Raises :class:`ModelError` where shapes, dtypes or ranges do not fit.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    positive: NDArray[np.int32]
    negative: NDArray[np.int32]
    shift: int
    low: int
    high: int
    slope: float = 1.0

    def __post_init__(self) -> None:
        _expect(self.weights.dtype == np.int8 and self.weights.ndim == 2, "weights must be int8 [outputs, inputs]")
        _expect(0 < self.weights.size <= _WIDEST_LAYER, f"weights must hold 1 to {_WIDEST_LAYER} values")
        _expect(int(self.weights.min()) >= -127, "weights must lie in -127..127")
        for name in ("bias", "positive", "negative"):
            array = getattr(self, name)
            _expect(array.dtype == np.int32 and array.shape == (self.outputs,), f"{name} must be int32 [{self.outputs}]")
        _expect(int(self.positive.min()) >= 0 and int(self.negative.min()) >= 0, "multipliers must not be negative")
        _expect(1 <= self.shift <= MAX_SHIFT, f"shift must lie in 1..{MAX_SHIFT}")
        _expect(INT32_MIN <= self.low < self.high <= INT32_MAX, "low must lie below high, both in int32")

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[1])

    @property
    def outputs(self) -> int:
        return int(self.weights.shape[0])

    @property
    def signed(self) -> bool:
        """Whether outputs can be negative."""
        return self.low < 0


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A network in integers: u8 samples in, one int32 score a label out.

    ``input_shape`` is a sample's shape, (rows, columns) for an image. A score times ``score_scale`` is the float network's
    logit. ``card`` tells where the network came from: free text by keyword, such as ``data`` or ``recipe``.

    Activations between layers are one byte each: u8 where a layer's ``low`` is 0 or more, s8 where it is negative.

    Raises :class:`ModelError`, naming the layer, where consecutive layers disagree or an accumulator could overflow.
    """

    name: str
    input_shape: tuple[int, ...]
    labels: tuple[str, ...]
    layers: tuple[Dense, ...]
    score_scale: float = 1.0
    card: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    def __post_init__(self) -> None:
        _expect(bool(self.layers), f"network '{self.name}' has no layers")
        _expect(bool(self.input_shape) and min(self.input_shape) > 0, f"input shape {self.input_shape} has no values")
        width, signed = self.input_size, False
        for number, layer in enumerate(self.layers):
            _expect(layer.inputs == width, f"layer {number} takes {layer.inputs} values but is given {width}")
            bound = accumulator_bound(layer, signed)
            _expect(bound <= INT32_MAX, f"layer {number} can reach |accumulator| {bound}, past int32; use smaller weights")
            width, signed = layer.outputs, layer.signed
        for number, layer in enumerate(self.layers[:-1]):
            one_byte = (-128 <= layer.low < 0 and layer.high <= 127) or (layer.low >= 0 and layer.high <= 255)
            _expect(one_byte, f"layer {number} is clipped to {layer.low}..{layer.high}, which is not one byte")
        _expect(width == len(self.labels), f"the last layer has {width} outputs but there are {len(self.labels)} labels")
        _expect(width <= MAX_CLASSES, f"{width} classes; a result carries at most {MAX_CLASSES}")

    @property
    def input_size(self) -> int:
        """Values (and bytes) in one sample."""
        return prod(self.input_shape)

    @property
    def architecture(self) -> str:
        """The widths of the layers, such as ``784-32-10``."""
        return "-".join(str(width) for width in (self.input_size, *(layer.outputs for layer in self.layers)))


def accumulator_bound(layer: Dense, signed_input: bool) -> int:
    """The largest magnitude an accumulator of ``layer`` can reach, whatever the input (docs/quantization.md, equation 7)."""
    largest_input = 128 if signed_input else 255
    reach = np.abs(layer.weights.astype(np.int64)).sum(axis=1) * largest_input
    return int((reach + np.abs(layer.bias.astype(np.int64))).max())


def _expect(condition: bool, fact: str) -> None:
    if not condition:
        raise ModelError(fact)
