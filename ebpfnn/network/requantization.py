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

    ``activation``, int16 [256], is a table by which such an output, which then is a byte, becomes another (equation 26): of the
    output modulo 256. Its values are all u8, or all s8. ``function`` names what it computes, for people.

    Raises :class:`ModelError` where dtypes or ranges do not fit.
    """

    positive: NDArray[np.int32]
    negative: NDArray[np.int32]
    shift: int
    low: int
    high: int
    zero_point: int = 0
    slope: float = 1.0
    activation: NDArray[np.int16] | None = None
    function: str = ""

    def __post_init__(self) -> None:
        if self.activation is not None:
            self._check_activation(self.activation)
        for name in ("positive", "negative"):
            array = getattr(self, name)
            fits = array.dtype == np.int32 and array.shape == (self.channels,) and array.size > 0
            expect(fits, f"{name} must be int32 [{max(1, self.channels)}]")
            expect(int(array.min()) >= 0, "multipliers must not be negative")
        expect(1 <= self.shift <= MAX_SHIFT, f"shift must lie in 1..{MAX_SHIFT}")
        expect(INT32_MIN <= self.low < self.high <= INT32_MAX, "low must lie below high, both in int32")
        expect(-128 <= self.zero_point <= 255, "zero_point must lie in -128..255")

    def _check_activation(self, table: NDArray[np.int16]) -> None:
        expect(table.dtype == np.int16 and table.shape == (256,), "activation must be int16 [256]")
        expect(_is_byte(self.low, self.high), f"activation takes bytes, but is given {self.low}..{self.high}")
        expect(_is_byte(int(table.min()), int(table.max())), "activation must hold values of one byte, all u8 or all s8")
        expect(self.function.isprintable(), "the name of a function must be printable")

    @property
    def channels(self) -> int:
        """Output channels: one scale each."""
        return int(self.positive.size)

    @property
    def lowest(self) -> int:
        """The least output. Of a table it is the least of its kind of bytes, which may stand in an edge."""
        return self.low if self.activation is None else -128 * self._signed

    @property
    def highest(self) -> int:
        """The largest output, as :attr:`lowest`."""
        return self.high if self.activation is None else 255 - 128 * self._signed

    @property
    def _signed(self) -> bool:
        return self.activation is not None and bool((self.activation < 0).any())

    @property
    def one_byte(self) -> bool:
        """Whether every output fits a u8, or every one an s8."""
        return _is_byte(self.lowest, self.highest)


def _is_byte(low: int, high: int) -> bool:
    """Whether all of ``low..high`` are u8, or all s8."""
    return (low >= -128 and high <= 127) or (low >= 0 and high <= 255)


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
