"""Code that all sums of products share: accumulators in registers, seeds at the start of a segment, a flush at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R10, Register
from .bounds import lowest_sums
from .emitter import Emitter
from .lanes import Lanes

ACCUMULATORS = (R0, R1, R2, R3, R4, R5)
INPUT, TERM, ROW = R6, R7, R8


@dataclass(frozen=True, eq=False)
class Products:
    """Weights int8 [inputs, outputs] packed into words: in ``lanes``, cut into segments that end at ``ends``, and into tiles.

    The rows of a tile are ``row`` bytes apart. A row belongs to one tile, or, with ``across``, the rows of all tiles for one
    input are stored side by side. Inputs are in ``low..high``.
    """

    weights: NDArray[np.int8]
    low: int
    high: int
    lanes: Lanes
    ends: tuple[int, ...]
    words: int
    tiles: int
    row: int
    across: bool = False

    @property
    def starts(self) -> tuple[int, ...]:
        return (0, *self.ends[:-1])

    @property
    def width(self) -> int:
        """Outputs of a tile."""
        return self.words * self.lanes.count

    def table(self) -> NDArray[np.uint64]:
        """Weights as words, uint64 [tiles, inputs, row / 8], or across [inputs, tiles, words]."""
        if self.across:
            return np.ascontiguousarray(self.tiled(self.weights).transpose(1, 0, 2))
        inputs = len(self.weights)
        padded = np.zeros((self.tiles, inputs, self.row // 8), np.uint64)
        padded[:, :, : self.words] = self.tiled(self.weights)
        return padded

    def seeds(self) -> NDArray[np.int64]:
        """The initial value of each lane in a segment, int64 [segments, outputs]: minus the lowest sum that it can reach."""
        cuts = zip(self.starts, self.ends, strict=True)
        return np.stack([-lowest_sums(self.weights[start:end], self.low, self.high) for start, end in cuts])

    def seed_words(self) -> NDArray[np.uint64]:
        """The same as words, uint64 [tiles, segments, words]."""
        return self.tiled(self.seeds())

    def tiled(self, values: NDArray[np.int8] | NDArray[np.int64]) -> NDArray[np.uint64]:
        """[n, outputs] as words, uint64 [tiles, n, words]."""
        packed = np.zeros((len(values), self.tiles * self.words), np.uint64)
        packed[:, : self.lanes.words(values.shape[1])] = self.lanes.pack(values)
        words: NDArray[np.uint64] = packed.reshape(len(values), self.tiles, self.words).transpose(1, 0, 2)
        return words


def emit_products(emit: Emitter, words: int, offset: int) -> None:
    """Adds the row at ``ROW + offset`` times ``INPUT`` to the accumulators."""
    for accumulator, word in zip(ACCUMULATORS, range(words), strict=False):
        emit.load(TERM, "u64", ROW, offset + 8 * word)
        emit.alu(TERM, "*=", INPUT)
        emit.alu(accumulator, "+=", TERM)


def emit_neighbors(emit: Emitter, loads: Sequence[Callable[[Register], None]], offset: int) -> None:
    """Adds the word at ``ROW + offset`` times a value each to the accumulators; ``loads`` load the values."""
    emit.load(INPUT, "u64", ROW, offset)
    for accumulator, load in zip(ACCUMULATORS, loads, strict=False):
        load(TERM)
        emit.alu(TERM, "*=", INPUT)
        emit.alu(accumulator, "+=", TERM)


def emit_seeds(emit: Emitter, words: int, offset: int) -> None:
    """Loads the accumulators from ``ROW + offset``."""
    for accumulator, word in zip(ACCUMULATORS, range(words), strict=False):
        emit.load(accumulator, "u64", ROW, offset + 8 * word)


def emit_flush(
    emit: Emitter,
    lanes: Lanes,
    outputs: int,
    left: int,
    *,
    first: bool,
    accumulators: tuple[Register, ...] = ACCUMULATORS,
    free: tuple[Register, Register] = (TERM, INPUT),
) -> None:
    """Adds every lane to its sum, u32, at ``left`` from r10; the ``first`` time, stores it. Overwrites ``free``."""
    value, before = free
    for output in range(outputs):
        emit_lane(emit, lanes, accumulators, output, value)
        if not first:
            emit.load(before, "u32", R10, left + 4 * output)
            emit.alu(value, "+=", before)
        emit.store("u32", R10, left + 4 * output, value)


def emit_lane(emit: Emitter, lanes: Lanes, accumulators: tuple[Register, ...], output: int, value: Register) -> None:
    """``value`` = the lane of ``output``, nothing above it."""
    word, lane = divmod(output, lanes.count)
    if lanes.bits == 32 and lane == 0:
        emit.alu32(value, "=", accumulators[word])
        return
    emit.mov(value, accumulators[word])
    if lane:
        emit.alu(value, ">>=", lane * lanes.bits)
    if lane < lanes.count - 1:
        emit.alu(value, "&=", lanes.mask)
