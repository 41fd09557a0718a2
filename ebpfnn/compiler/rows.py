"""A dense layer over one-bit inputs, by tables of partial sums: one row of additions for eight inputs.

Where eight inputs are all zero, a branch goes round their row. Unlike those of pixels these branches are worth it: there are
an eighth as many, a list of what is not zero costs ten instructions for each of its entries, and additions that were begun
in vain are cheap. Eight inputs that no weight reads have no row and no branch.

In memory the rows of one number lie side by side for all groups of eight, since samples have few numbers in many groups:
these then share pages, and spread over the sets of the caches, which rows 16 KiB apart do not. Next to a row is that of the
next tile, which is wanted soon.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10
from .accumulate import Products, emit_flush
from .bits import emit_group, emit_halved_gather
from .emitter import Emitter
from .outputs import Source
from .partial import INPUTS, partial_sums
from .tile import Part
from .values import Values

MOST_WORDS = 8
_ACCUMULATORS = (R0, R1, R2, R3, R4, R5, R6, R7)
_TERM, _ROW = R8, R9


def live_groups(weights: NDArray[np.int8]) -> tuple[int, ...]:
    """Which eights of inputs any weight reads, for int8 [bits, outputs]."""
    read = weights.any(axis=1).reshape(-1, INPUTS).any(axis=1)
    return tuple(np.flatnonzero(read).tolist())


def row_table(products: Products) -> NDArray[np.uint64]:
    """uint64 [256, live groups, tiles, words in a row]."""
    sums = partial_sums(products.weights, products.lanes, products.words, products.tiles, products.row // 8)
    table: NDArray[np.uint64] = sums[:, live_groups(products.weights)].transpose(2, 1, 0, 3)
    return table


def emit_row_sums(
    emit: Emitter, products: Products, values: Values, outputs: int, parts: tuple[Part, Part], left: int, *, kept: bool
) -> Source:
    """The sums of one tile's ``outputs`` by its table and seeds: u32 each at ``left`` from r10.

    Those of an only segment stay in registers where they are to be ``kept``, else no register survives. ``values`` are bytes of
    eight inputs, or eight bytes each with a threshold.
    """
    table, seeds = parts
    lanes, words = products.lanes, products.lanes.words(outputs)
    live, across = live_groups(products.weights), products.row * products.tiles
    for segment, (start, end) in enumerate(zip(products.starts, products.ends, strict=True)):
        emit.note(f"bits {start}..{end - 1}: rows of {words} words of {lanes.count} lanes of {lanes.bits} bits")
        seeds.point(emit, _ROW)
        for word in range(words):
            emit.load(_ACCUMULATORS[word], "u64", _ROW, 8 * (segment * products.words + word))
        run = [(at, group) for at, group in enumerate(live) if start <= group * INPUTS < end]
        _emit_rows(emit, across, len(live), values, run, words, table)
        if not kept:
            emit_flush(emit, lanes, outputs, left, first=segment == 0, accumulators=_ACCUMULATORS, free=(_TERM, _ROW))
    return Source(lanes, _ACCUMULATORS if kept else (), left)


def _emit_rows(
    emit: Emitter, across: int, groups: int, values: Values, run: list[tuple[int, int]], words: int, table: Part
) -> None:
    """Adds the rows of a ``run`` of groups, each the ``at``-th of so many ``groups`` that are ``across`` bytes in all tiles."""
    emit.load(_ROW, "u64", R10, values.place.slot)
    for at, group in run:
        blank = emit.fresh("blank")
        emit_group(emit, values, group, _TERM, _ROW)
        emit.jump_if(_TERM, "==", 0, blank)
        if values.threshold is not None:
            emit_halved_gather(emit, _TERM, _ROW, values.threshold)
        emit.alu(_TERM, "*=", groups * across)
        table.point(emit, _ROW, at * across)
        emit.alu(_ROW, "+=", _TERM)
        for word in range(words):
            emit.load(_TERM, "u64", _ROW, 8 * word)
            emit.alu(_ACCUMULATORS[word], "+=", _TERM)
        emit.load(_ROW, "u64", R10, values.place.slot)
        emit.label(blank)
