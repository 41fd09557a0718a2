"""How accumulators become outputs, and what every module that deals with layers uses: shapes, limits, and refusals."""

from __future__ import annotations

from dataclasses import dataclass

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


def image_shape(shape: Shape) -> tuple[int, int, int]:
    """``shape`` as (channels, rows, columns); raises :class:`ModelError` for a flat one."""
    expect(len(shape) in (2, 3), f"needs an image but is given {describe(shape)}")
    channels, rows, columns = (1, *shape)[-3:]
    return channels, rows, columns


def describe(shape: Shape) -> str:
    """``shape`` as people write it: 28x28."""
    return "x".join(map(str, shape))


def expect(condition: bool, fact: str) -> None:
    """Raises :class:`ModelError` with ``fact`` where ``condition`` is false."""
    if not condition:
        raise ModelError(fact)
