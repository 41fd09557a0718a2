"""A dense layer over inputs of few bits, by tables of partial sums: one row of additions for a byte of inputs.

Where all inputs of a byte are zero, a branch goes round their row, unless such bytes are rare. Unlike those of pixels these
branches are worth it: there are an eighth as many, a list of what is not zero costs ten instructions for each of its entries,
and additions that were begun in vain are cheap. Bytes that no weight reads have no row and no branch.

In memory the rows of one number lie side by side for all bytes, since samples have few numbers in many bytes: these then share
pages, and spread over the sets of the caches, which rows 16 KiB apart do not. Next to a row is that of the next tile, which is
wanted soon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, Register
from .accumulate import Products, emit_flush
from .bits import emit_group, emit_halved_gather
from .emitter import FARTHEST, Emitter
from .outputs import Source
from .partial import BYTE, RowShape, partial_sums
from .tile import Part
from .values import Values

MOST_WORDS = 8
ROWS = 1 << BYTE
_ACCUMULATORS = (R0, R1, R2, R3, R4, R5, R6, R7)
_TERM, _ROW = R8, R9
_KEPT = 6
"""Words that the outputs are made of where they are: what makes them needs the other registers."""


def live_groups(weights: NDArray[np.int8], levels: int) -> tuple[int, ...]:
    """Which bytes of so many levels any weight reads, for int8 [levels, outputs]."""
    read = weights.any(axis=1).reshape(-1, levels).any(axis=1)
    return tuple(np.flatnonzero(read).tolist())


def row_table(products: Products, shape: RowShape) -> NDArray[np.uint64]:
    """uint64 [rows, live bytes, tiles, words in a row] where branches skip, else [live bytes, rows, tiles, words in a row].

    The verifier sees no more of a byte than that it is one: behind the last rows there is room for those of 255.
    """
    sums = partial_sums(products, shape)[:, live_groups(products.weights, shape.levels)]
    if shape.skipping:
        return np.ascontiguousarray(sums.transpose(2, 1, 0, 3))
    table = sums.transpose(1, 2, 0, 3).reshape(-1, products.tiles, sums.shape[-1])
    return np.pad(table, ((0, ROWS - shape.rows), (0, 0), (0, 0)))


def stays(products: Products, *, lookup: bool, iterated: bool) -> bool:
    """Whether a tile's sums stay in registers until they become outputs, by a ``lookup`` or without."""
    return len(products.ends) == 1 and (lookup or (products.words <= _KEPT and not iterated))


def emit_row_sums(
    emit: Emitter,
    products: Products,
    shape: RowShape,
    values: Values,
    outputs: int,
    parts: tuple[Part, Part],
    left: int,
    *,
    kept: bool,
) -> Source:
    """The sums of one tile's ``outputs`` by its table and seeds: u32 each at ``left`` from r10.

    Those of an only segment stay in registers where they are to be ``kept``, else no register survives. ``values`` are bytes of
    levels in ``shape``, or eight bytes each with a threshold.
    """
    table, seeds = parts
    lanes, words = products.lanes, products.lanes.words(outputs)
    live = live_groups(products.weights, shape.levels)
    emit_rows = _emit_skipping if shape.skipping else _emit_all
    for segment, (start, end) in enumerate(zip(products.starts, products.ends, strict=True)):
        emit.note(f"inputs {start}..{end - 1}: rows of {words} words of {lanes.count} lanes of {lanes.bits} bits")
        seeds.point(emit, _ROW)
        for word in range(words):
            emit.load(_ACCUMULATORS[word], "u64", _ROW, 8 * (segment * products.words + word))
        run = [(at, group) for at, group in enumerate(live) if start <= group * shape.levels < end]
        emit_rows(emit, _Rows(products, shape, words, len(live), table), values, run)
        if not kept:
            emit_flush(emit, lanes, outputs, left, first=segment == 0, accumulators=_ACCUMULATORS, free=(_TERM, _ROW))
    return Source(lanes, _ACCUMULATORS if kept else (), 0 if kept else left)


@dataclass(frozen=True)
class _Rows:
    """What a tile adds: ``words`` of rows for so many live ``groups``, each a byte, from its part of the table."""

    products: Products
    shape: RowShape
    words: int
    groups: int
    table: Part

    @property
    def across(self) -> int:
        """Bytes of a row, all tiles."""
        return self.products.row * self.products.tiles

    def emit_sum(self, emit: Emitter, row: Register, offset: int, term: Register) -> None:
        for word in range(self.words):
            emit.load(term, "u64", row, offset + 8 * word)
            emit.alu(_ACCUMULATORS[word], "+=", term)


_Run = list[tuple[int, int]]
"""Bytes by their numbers among the live ones and among all."""


def _emit_skipping(emit: Emitter, rows: _Rows, values: Values, run: _Run) -> None:
    base = _ACCUMULATORS[rows.words] if rows.words < MOST_WORDS and values.threshold is None else _ROW
    emit.load(base, "u64", R10, values.place.slot)
    for at, group in run:
        blank = emit.fresh("blank")
        emit_group(emit, values, group, _TERM, base)
        emit.jump_if(_TERM, "==", 0, blank)
        if values.threshold is not None:
            emit_halved_gather(emit, _TERM, _ROW, values.threshold)
        emit.alu(_TERM, "*=", rows.groups * rows.across)
        rows.table.point(emit, _ROW, at * rows.across)
        emit.alu(_ROW, "+=", _TERM)
        rows.emit_sum(emit, _ROW, 0, _TERM)
        if base == _ROW:
            emit.load(_ROW, "u64", R10, values.place.slot)
        emit.label(blank)


def _emit_all(emit: Emitter, rows: _Rows, values: Values, run: _Run) -> None:
    """Without a branch. Where registers are left, the table is pointed to anew only where an offset no longer reaches."""
    shift = rows.across & rows.across - 1 == 0
    roomy = rows.words + 2 <= MOST_WORDS
    given, term = _ACCUMULATORS[rows.words : rows.words + 2] if roomy else (_ROW, _ROW)
    pointed = -FARTHEST
    for number, (at, group) in enumerate(run):
        if number == 0 or not roomy:
            emit.load(given, "u64", R10, values.place.slot)
        emit_group(emit, values, group, _TERM, given)
        if values.threshold is not None:
            emit_halved_gather(emit, _TERM, term, values.threshold)
        emit.alu(_TERM, *(("<<=", rows.across.bit_length() - 1) if shift else ("*=", rows.across)))
        start = at * rows.shape.rows * rows.across
        if not roomy or start - pointed + rows.across >= FARTHEST:
            rows.table.point(emit, _ROW, start)
            pointed = start
        emit.alu(_TERM, "+=", _ROW)
        rows.emit_sum(emit, _TERM, start - pointed, term)
