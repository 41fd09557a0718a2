"""The values that one layer gives to the next: their form in memory, their place, and their range."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from ..network.layers import Shape, Window, image_shape
from ..obj.asm import Register
from .emitter import Emitter, Place

NO_EDGE = (0, 0, 0, 0)
SLACK = 8
"""Bytes behind values that loads of eight bytes may read."""


Edge = tuple[int, int, int, int]
"""Rows and columns around an image: top, left, bottom, right."""


def plane_size(shape: Shape, edge: Edge) -> int:
    """Bytes of a channel of an image with an edge."""
    top, left, bottom, right = edge
    _, rows, columns = image_shape(shape)
    return (columns + left + right) * (rows + top + bottom)


@dataclass(frozen=True)
class OutputForm:
    """How a layer writes its outputs: ``bits`` each, 8, or 32 for scores.

    As ``levels`` (outputs minus the lowest) of 1 to 8 bits, they are stored side by side in bytes. An image has an ``edge``
    around each channel, filled with ``fill``, the padding of the next layer.
    """

    bits: int = 8
    levels: bool = False
    edge: Edge = NO_EDGE
    fill: int = 0

    @property
    def width(self) -> int:
        """Bytes of one store."""
        return max(1, self.bits // 8)

    def __str__(self) -> str:
        if self.levels:
            return f"{self.bits}-bit levels, {8 // self.bits} a byte"
        if self.bits > 8:
            return "scores"
        return f"bytes, an edge of {self.fill}" if any(self.edge) else "bytes"


@dataclass(frozen=True)
class Values:
    """Bytes at ``place``, each in ``low..high``: u8, or s8 if ``low`` is negative.

    An image may have an ``edge`` around each channel, which already contains the padding of the layer that reads it, so windows
    need no bounds checks. With a ``threshold``, a byte represents one bit: whether it is at least the threshold.
    """

    place: Place
    shape: Shape
    low: int
    high: int
    edge: Edge = NO_EDGE
    threshold: int | None = None

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def signed(self) -> bool:
        return self.low < 0

    @property
    def row(self) -> int:
        """Bytes from a row to the next."""
        return self.shape[-1] + self.edge[1] + self.edge[3]

    @property
    def plane(self) -> int:
        """Bytes from a channel to the next."""
        return plane_size(self.shape, self.edge)

    @property
    def first(self) -> int:
        """The offset of the first value behind ``place``; an edge may be before it."""
        return self.edge[0] * self.row + self.edge[1]

    @property
    def bytes(self) -> int:
        """The size in bytes, including edges."""
        return self.size if self.edge == NO_EDGE else image_shape(self.shape)[0] * self.plane

    def within(self, padding: Edge) -> Values:
        """The same for windows over an edge of ``padding``, which begin further in where the edge is wider."""
        return replace(self, place=self.place.at((self.edge[0] - padding[0]) * self.row + self.edge[1] - padding[1]))

    def offsets(self, channels: int, window: Window) -> tuple[int, ...]:
        """The offsets of the values of one window from its first value, in the order of a convolution's weights."""
        rows, columns = window.kernel
        return tuple(c * self.plane + y * self.row + x for c in range(channels) for y in range(rows) for x in range(columns))

    def load(self, emit: Emitter, dst: Register, base: Register, offset: int) -> None:
        """``dst`` = the value at ``base + offset``, as a 64-bit number; ``dst`` may be ``base``."""
        if self.signed and emit.features.sign_extension:
            emit.load_far(dst, "s8", base, offset)
            return
        emit.load_far(dst, "u8", base, offset)
        if self.signed:
            emit.alu(dst, "<<=", 56)
            emit.alu(dst, "s>>=", 56)
