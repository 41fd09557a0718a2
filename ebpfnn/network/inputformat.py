"""What a sample of a network is. docs/quantization.md defines levels (equation 1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from ..errors import ModelError
from .layers import LARGEST_SIZE, Shape, describe, expect
from .preparation import Preparation, usual

MOST_OWN = 1024
"""The most values of a sample that may have thresholds of their own: the kernel has a table of 256 levels for each."""


@dataclass(frozen=True)
class InputFormat:
    """What a sample is, and what of it the first layer sees (equation 1).

    A sample is u8 of ``shape``: (rows, columns), (channels, rows, columns) or (values,). With 8 ``bits`` the first layer sees
    it as it is. With 4, 2 or 1 it sees levels: how many of the ``thresholds``, 2^bits - 1 rising values in 1..255, a value
    reaches (1 bit: ``x >= threshold``). ``packed`` samples arrive as levels already, 8 / bits of them a byte, the first in the
    most significant bits where ``bit_order`` is "big" (as numpy.packbits), else in the least; the last byte is filled with 0.
    ``prepared`` tells how samples are made of pictures, arrays or rows of a table; None stands for what is
    :func:`~ebpfnn.network.preparation.usual` for the shape.

    A flat sample of at most :data:`MOST_OWN` values may have ``value_thresholds`` instead of ``thresholds``: for each value
    2^bits - 1 of its own in 1..256, which do not fall. Equal ones skip a level, and 256 is never reached.

    Packed levels lie in the natural order of the values, or in ``order``: then level number i of the packed sample is that of
    value ``order[i]``. Layers see the values in their natural order all the same (equation 18).

    Raises :class:`ModelError` where these do not fit.
    """

    shape: Shape
    bits: int = 8
    thresholds: tuple[int, ...] = ()
    packed: bool = False
    bit_order: str = "big"
    value_thresholds: tuple[tuple[int, ...], ...] = ()
    prepared: Preparation | None = field(default=None, compare=False)
    order: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        expect(
            1 <= len(self.shape) <= 3 and min(self.shape) > 0,
            f"input shape {describe(self.shape)} is neither flat nor an image",
        )
        expect(self.size <= LARGEST_SIZE, f"input shape {describe(self.shape)} holds more than {LARGEST_SIZE} values")
        expect(self.bits in (1, 2, 4, 8), f"{self.bits} bits an input value; 1, 2, 4 and 8 are known")
        if self.value_thresholds:
            self._check_value_thresholds()
        else:
            self._check_count(self.thresholds)
            rising = all(low < high for low, high in zip((0, *self.thresholds), (*self.thresholds, 256), strict=True))
            expect(rising, "thresholds must rise, within 1..255")
        expect(not (self.packed and self.bits == 8), "8-bit samples cannot be packed")
        expect(self.bit_order in ("big", "little"), f"bit order {self.bit_order!r}; 'big' and 'little' are known")
        expect(self.packed or not self.order, "only packed samples have an order")
        whole = not self.order or (len(self.order) == self.size and set(self.order) == set(range(self.size)))
        expect(whole, f"order must name each of the {self.size} values exactly once")

    def _check_count(self, thresholds: tuple[int, ...]) -> None:
        wanted = 0 if self.bits == 8 else 2**self.bits - 1
        expect(len(thresholds) == wanted, f"{self.bits} bits take {wanted} thresholds, not {len(thresholds)}")

    def _check_value_thresholds(self) -> None:
        given, shape = len(self.value_thresholds), describe(self.shape)
        expect(not self.thresholds, "thresholds are given for each value and for all; give one of them")
        expect(self.bits < 8, "8 bits take no thresholds")
        expect(len(self.shape) == 1, f"thresholds for each value need a flat sample, not {shape}")
        expect(given == self.size, f"a sample has {self.size} values, and {given} have thresholds")
        expect(given <= MOST_OWN, f"{given} values have thresholds of their own; at most {MOST_OWN} may")
        for number, own in enumerate(self.value_thresholds):
            try:
                self._check_count(own)
                inside = all(low <= high for low, high in zip((1, *own), (*own, 256), strict=True))
                expect(inside, "thresholds must not fall, within 1..256")
            except ModelError as error:
                raise ModelError(f"value {number}: {error}") from error

    @property
    def preparation(self) -> Preparation:
        """How samples are made."""
        return self.prepared or usual(self.shape)

    @property
    def size(self) -> int:
        """Values in a sample."""
        return prod(self.shape)

    @property
    def sample_bytes(self) -> int:
        """Bytes in a sample as the kernel gets it."""
        return (self.size * self.bits + 7) // 8 if self.packed else self.size

    @property
    def highest(self) -> int:
        """The highest level: 255 for 8 bits, 1 for 1 bit. It stands for 1.0, and 0 for 0.0."""
        return (1 << self.bits) - 1
