"""A dense layer over inputs of few bits, by tables of partial sums: one row of additions per byte of inputs.

If all inputs of a byte are zero, a branch skips their row, unless such bytes are rare. Unlike branches on pixels, these
branches pay: there are an eighth as many, a list costs ten instructions per entry, and a misprediction only starts a few cheap
additions. Bytes without weights have no row and no branch.

The table stores the rows of one byte value side by side for all bytes, because samples have few different values in many bytes.
Such rows share pages, and use different cache sets; rows that are 16 KiB apart do not. Next to a row is the row of the next
tile, which is needed soon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, Register
from .accumulate import Products, emit_flush
from .bits import emit_group, emit_halved_gather
from .emitter import FARTHEST, Emitter, Place
from .outputs import Source
from .partial import BYTE, RowShape, partial_sums
from .table_list import ListAdder
from .tile import Part
from .values import Values

MOST_WORDS = 8
ROWS = 1 << BYTE
_ACCUMULATORS = (R0, R1, R2, R3, R4, R5, R6, R7)
_TERM, _ROW = R8, R9
_KEPT = 6
"""The most words whose outputs can be computed in place: computing outputs needs the other registers."""


def live_groups(weights: NDArray[np.int8], levels: int) -> tuple[int, ...]:
    """The indices of the bytes of ``levels`` levels that have a weight, for weights int8 [levels, outputs]."""
    read = weights.any(axis=1).reshape(-1, levels).any(axis=1)
    return tuple(np.flatnonzero(read).tolist())


def listed_bytes(weights: NDArray[np.int8], levels: int) -> int:
    """How many bytes of ``levels`` levels a list looks at."""
    return len(weights) // levels


def row_table(products: Products, shape: RowShape) -> NDArray[np.uint64]:
    """uint64 [rows, live bytes, tiles, words in a row] if branches skip rows, else [live bytes, rows, tiles, words in a row].

    If bytes are listed, [rows, bytes, tiles, words in a row].

    The verifier knows only that the index is a byte: so the table is padded to the rows of index 255.
    """
    if shape.listed:
        return np.ascontiguousarray(partial_sums(products, shape).transpose(2, 1, 0, 3))
    sums = partial_sums(products, shape)[:, live_groups(products.weights, shape.levels)]
    if shape.skipping:
        return np.ascontiguousarray(sums.transpose(2, 1, 0, 3))
    table = sums.transpose(1, 2, 0, 3).reshape(-1, products.tiles, sums.shape[-1])
    return np.pad(table, ((0, ROWS - shape.rows), (0, 0), (0, 0)))


def stays(products: Products, *, lookup: bool, iterated: bool) -> bool:
    """Whether a tile's sums stay in registers until they become outputs, with or without a ``lookup``."""
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
    listed: Place | None = None,
) -> Source:
    """Computes the sums of one tile's ``outputs`` with its table and seeds: u32 each at ``left`` from r10.

    With ``kept``, the sums of a single segment stay in registers; otherwise no register survives. ``values`` are bytes of
    levels in ``shape``, or eight bytes each with a threshold. If the shape lists bytes, they are ``listed`` there.
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
        if listed:
            inputs = listed_bytes(products.weights, shape.levels)
            ListAdder(emit, inputs, values, table, products.row // 8 * products.tiles, words, listed).add()
            if not kept:
                emit_flush(emit, lanes, outputs, left, first=segment == 0, accumulators=_ACCUMULATORS, free=(_TERM, _ROW))
            continue
        run = [(at, group) for at, group in enumerate(live) if start <= group * shape.levels < end]
        emit_rows(emit, _Rows(products, shape, words, len(live), table), values, run)
        if not kept:
            emit_flush(emit, lanes, outputs, left, first=segment == 0, accumulators=_ACCUMULATORS, free=(_TERM, _ROW))
    return Source(lanes, _ACCUMULATORS if kept else (), 0 if kept else left)


@dataclass(frozen=True)
class _Rows:
    """The rows that a tile adds, from its part of the table: ``words`` words for each of ``groups`` live bytes."""

    products: Products
    shape: RowShape
    words: int
    groups: int
    table: Part

    @property
    def across(self) -> int:
        """Bytes of a row, for all tiles."""
        return self.products.row * self.products.tiles

    def emit_sum(self, emit: Emitter, row: Register, offset: int, term: Register) -> None:
        for word in range(self.words):
            emit.load(term, "u64", row, offset + 8 * word)
            emit.alu(_ACCUMULATORS[word], "+=", term)


_Run = list[tuple[int, int]]
"""Bytes of inputs: the index among the live ones, and the index among all."""


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
    """Adds rows without a branch. If registers are free, the table address is loaded again only when an offset is too far."""
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
