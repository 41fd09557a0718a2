"""Tiles: as many words of outputs at a time as fit the registers, six; and the two ways to go from tile to tile.

The tables of a layer are stored tile by tile. Few tiles are unrolled, each with its own addresses. Many tiles are one piece of
code in a loop that the verifier does not walk. The addresses are then computed once per iteration and kept on the stack. The
groups of a convolution are handled in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..obj.asm import R1, R2, R10, Register
from .emitter import Emitter, Place

MOST_WORDS = 6
"""The number of accumulators: ten registers also hold an input, a product and two pointers."""


@dataclass(frozen=True)
class Tiling:
    """``outputs`` in ``tiles`` tiles of ``words`` words of ``lanes`` lanes; the last tile may have fewer outputs."""

    outputs: int
    lanes: int
    words: int
    tiles: int

    @classmethod
    def of(cls, outputs: int, lanes: int, most_words: int = MOST_WORDS) -> Tiling:
        """The smallest number of tiles, of nearly equal size."""
        words = -(-outputs // lanes)
        tiles = -(-words // most_words)
        words = -(-words // tiles)
        return cls(outputs, lanes, words, -(-outputs // (words * lanes)))

    @property
    def width(self) -> int:
        """Outputs of a tile."""
        return self.words * self.lanes

    def size(self, tile: int) -> int:
        """Outputs of tile ``number``."""
        return min(self.width, self.outputs - tile * self.width)


@dataclass(frozen=True)
class Part:
    """A part of a table or of memory, ``stride`` bytes: that of ``tile``, or the one at the address in the stack slot."""

    base: str | Place
    stride: int
    tile: int = 0
    slot: int = 0
    offset: int = 0

    def at(self, offset: int) -> Part:
        return replace(self, offset=self.offset + offset)

    @property
    def place(self) -> Place:
        """The same for a part of memory."""
        if self.slot:
            return Place(self.slot, self.offset)
        if isinstance(self.base, str):
            raise TypeError(f"table '{self.base}' lies in a map, not behind a stack slot")
        return self.base.at(self.tile * self.stride + self.offset)

    def point(self, emit: Emitter, dst: Register, offset: int = 0) -> None:
        """``dst`` = the address ``offset`` bytes in."""
        if isinstance(self.base, str) and not self.slot:
            emit.map_value(dst, self.base, self.tile * self.stride + self.offset + offset)
        else:
            emit.point(dst, self.at(offset).place)


Parts = tuple[Part, ...]


def emit_parts(emit: Emitter, count: int, parts: Parts, body: Callable[[int, Parts], None], *, iterated: bool) -> None:
    """Calls ``body(number, parts)`` for each of ``count``; if ``iterated``, once, with the number 0."""
    if not iterated:
        for number in range(count):
            body(number, tuple(replace(part, tile=number) for part in parts))
        return
    with emit.scratch(8 * (1 + len(parts))) as index:
        on_stack = tuple(Part(part.base, part.stride, slot=index + 8 * number) for number, part in enumerate(parts, 1))

        def turn() -> None:
            for part, address in zip(parts, on_stack, strict=True):
                part.point(emit, R2)
                emit.load(R1, "u64", R10, index)
                emit.alu(R1, "*=", part.stride)
                emit.alu(R2, "+=", R1)
                emit.store("u64", R10, address.slot, R2)
            body(0, on_stack)

        emit.iterate(count, index, turn)
