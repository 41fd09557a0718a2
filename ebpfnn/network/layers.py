"""The layers of a quantized network: frozen dataclasses over numpy arrays, which check themselves.

docs/quantization.md derives what they compute; :mod:`ebpfnn.network.reference` computes it.

Values between layers are one byte each, laid out as PyTorch does: [channels, rows, columns], or flat. A sample of two
dimensions has one channel. An average pool needs no layer of its own: it is a depthwise convolution of ones
(equation 16).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
MAX_SHIFT = 62
"""The largest right shift whose rounding term still fits a signed 64-bit integer beside the product."""
LARGEST_SIZE = 1 << 24
"""The most values that a sample, a layer's weights or its outputs may be."""

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Requantization:
    """How accumulators become outputs (equations 5 and 6), one multiplier a channel for each sign.

    ``output = clip(((acc * multiplier + (1 << shift - 1)) >> shift) + zero_point, low, high)`` with ``positive``, int32
    [channels], where ``acc >= 0``, else ``negative``, in which the activation's slope is. ``slope`` is what ``negative``
    realizes (1 identity, 0 ReLU), kept for people and exporters; the arithmetic does not read it.

    Raises :class:`ModelError` where dtypes or ranges do not fit.
    """

    positive: NDArray[np.int32]
    negative: NDArray[np.int32]
    shift: int
    low: int
    high: int
    zero_point: int = 0
    slope: float = 1.0

    def __post_init__(self) -> None:
        for name in ("positive", "negative"):
            array = getattr(self, name)
            fits = array.dtype == np.int32 and array.shape == (self.channels,) and array.size > 0
            expect(fits, f"{name} must be int32 [{max(1, self.channels)}]")
            expect(int(array.min()) >= 0, "multipliers must not be negative")
        expect(1 <= self.shift <= MAX_SHIFT, f"shift must lie in 1..{MAX_SHIFT}")
        expect(INT32_MIN <= self.low < self.high <= INT32_MAX, "low must lie below high, both in int32")
        expect(-128 <= self.zero_point <= 255, "zero_point must lie in -128..255")

    @property
    def channels(self) -> int:
        """Output channels: one scale each."""
        return int(self.positive.size)

    @property
    def one_byte(self) -> bool:
        """Whether every output fits a u8, or every one an s8."""
        return (self.low >= -128 and self.high <= 127) or (self.low >= 0 and self.high <= 255)


@dataclass(frozen=True, eq=False)
class Dense:
    """A fully connected layer: ``acc = weights @ x + bias`` over the flattened input (equation 4).

    ``weights`` is int8 [outputs, inputs], symmetric in -127..127 with one scale an output; ``bias`` int32 [outputs].
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    requantization: Requantization

    def __post_init__(self) -> None:
        _check_weights(self.weights, self.bias, self.requantization, 2, "[outputs, inputs]")

    @property
    def inputs(self) -> int:
        """Values of one sample that the layer takes."""
        return int(self.weights.shape[1])

    @property
    def outputs(self) -> int:
        """Values of one sample that the layer gives."""
        return int(self.weights.shape[0])

    def output_shape(self, shape: Shape) -> Shape:
        """Raises :class:`ModelError` where ``shape`` does not hold ``inputs`` values."""
        expect(prod(shape) == self.inputs, f"takes {self.inputs} values but is given {describe(shape)}")
        return (self.outputs,)

    def macs(self, shape: Shape) -> int:
        """Multiplications of one sample of ``shape``."""
        return int(self.weights.size)


@dataclass(frozen=True)
class Window:
    """How a window of ``kernel`` (rows, columns) moves over an image: by ``stride``, over an edge of ``padding``.

    ``padding`` is (top, left, bottom, right). Raises :class:`ModelError` for a window that cannot be: an edge as wide as the
    window would hold nothing but padding.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        expect(len(self.kernel) == 2 and min(self.kernel) >= 1, "kernel must be (rows, columns), each 1 or more")
        expect(len(self.stride) == 2 and min(self.stride) >= 1, "stride must be (rows, columns), each 1 or more")
        sides = zip(self.padding, self.kernel * 2, strict=True) if len(self.padding) == 4 else [(1, 0)]
        expect(all(0 <= edge < size for edge, size in sides), "padding must be (top, left, bottom, right), below the kernel")

    def output_size(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns of the output for an image of ``shape``. Raises :class:`ModelError` where none would be left."""
        top, left, bottom, right = self.padding
        rows, columns = shape[-2] + top + bottom - self.kernel[0], shape[-1] + left + right - self.kernel[1]
        expect(rows >= 0 and columns >= 0, f"has a window larger than its input, {describe(shape)}")
        padded = (shape[-2] + top + bottom) * (shape[-1] + left + right)
        expect(
            padded <= LARGEST_SIZE, f"pads its input, {describe(shape)}, to {padded} values; at most {LARGEST_SIZE} are taken"
        )
        return rows // self.stride[0] + 1, columns // self.stride[1] + 1


@dataclass(frozen=True, eq=False)
class Conv2d:
    """A convolution: each output of a channel is a dense layer over a window (equation 14).

    ``weights`` is int8 ``[channels, input channels / groups, *window.kernel]`` in -127..127; ``bias`` int32 [channels]. Output
    channel ``c`` sees the input channels of group ``c // (channels / groups)``. ``pad_value`` is what stands in the padding:
    the zero point of the input.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    requantization: Requantization
    window: Window
    groups: int = 1
    pad_value: int = 0

    def __post_init__(self) -> None:
        _check_weights(self.weights, self.bias, self.requantization, 4, "[channels, input channels, rows, columns]")
        expect(self.weights.shape[2:] == self.window.kernel, "weights must have the window's rows and columns")
        expect(
            self.groups >= 1 and self.outputs % self.groups == 0,
            f"{self.outputs} channels do not split in {self.groups} groups",
        )

    @property
    def inputs(self) -> int:
        """Input channels."""
        return int(self.weights.shape[1]) * self.groups

    @property
    def outputs(self) -> int:
        """Output channels."""
        return int(self.weights.shape[0])

    def output_shape(self, shape: Shape) -> Shape:
        """Raises :class:`ModelError` where ``shape`` is not an image of ``inputs`` channels, or smaller than the window."""
        expect(image_shape(shape)[0] == self.inputs, f"takes {self.inputs} channels but is given {describe(shape)}")
        return (self.outputs, *self.window.output_size(shape))

    def macs(self, shape: Shape) -> int:
        """Multiplications of one sample of ``shape``, those with padding included."""
        return int(self.weights.size) * prod(self.output_shape(shape)[1:])


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each window, channel by channel (equation 15).

    Padding is ignored, as if it were smaller than any value.
    """

    window: Window

    def output_shape(self, shape: Shape) -> Shape:
        """Raises :class:`ModelError` where ``shape`` is not an image, or is smaller than the window."""
        return (image_shape(shape)[0], *self.window.output_size(shape))

    def macs(self, shape: Shape) -> int:
        """None: it compares."""
        return 0


Weighted = Dense | Conv2d
Layer = Dense | Conv2d | MaxPool


def image_shape(shape: Shape) -> tuple[int, int, int]:
    """``shape`` as (channels, rows, columns); raises :class:`ModelError` for a flat one."""
    expect(len(shape) in (2, 3), f"needs an image but is given {describe(shape)}")
    channels, rows, columns = (1, *shape)[-3:]
    return channels, rows, columns


def accumulator_bound(layer: Weighted, low: int, high: int) -> int:
    """The largest magnitude an accumulator of ``layer`` can reach for inputs in ``low..high`` (equation 7)."""
    reach = np.abs(layer.weights.astype(np.int64)).reshape(layer.outputs, -1).sum(axis=1) * max(abs(low), abs(high))
    return int((reach + np.abs(layer.bias.astype(np.int64))).max())


def describe(shape: Shape) -> str:
    """``shape`` as people write it: 28x28."""
    return "x".join(map(str, shape))


def expect(condition: bool, fact: str) -> None:
    """Raises :class:`ModelError` with ``fact`` where ``condition`` is false."""
    if not condition:
        raise ModelError(fact)


def _check_weights(weights: NDArray[np.int8], bias: NDArray[np.int32], by: Requantization, rank: int, axes: str) -> None:
    expect(weights.dtype == np.int8 and weights.ndim == rank, f"weights must be int8 {axes}")
    expect(0 < weights.size <= LARGEST_SIZE, f"weights must hold 1 to {LARGEST_SIZE} values")
    expect(int(weights.min()) >= -127, "weights must lie in -127..127")
    outputs = len(weights)
    expect(bias.dtype == np.int32 and bias.shape == (outputs,), f"bias must be int32 [{outputs}]")
    expect(by.channels == outputs, f"multipliers must be int32 [{outputs}]")
