"""A dense layer over one-bit inputs, by tables of partial sums: one row of additions for eight inputs.

Only the bytes that are not zero are gone through, as :mod:`ebpfnn.compiler.nonzero` lists them: row 0 of every table is zero.
Eight accumulators leave two registers, so the list's address waits on the stack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10
from .accumulate import Products, emit_flush
from .emitter import Emitter, Place
from .nonzero import emit_index, emit_lists, list_size
from .outputs import Source
from .partial import INPUTS, ROWS, partial_sums
from .tile import Part
from .values import Values

MOST_WORDS = 8
_ACCUMULATORS = (R0, R1, R2, R3, R4, R5, R6, R7)
_TERM, _ROW = R8, R9
_AT_A_TIME = 4


@dataclass(frozen=True)
class Bytes:
    """One-bit inputs, eight in a byte, and the list of the bytes of each segment that are not zero."""

    values: Values
    lists: tuple[Place, ...]
    ends: tuple[int, ...]


def row_table(products: Products) -> NDArray[np.uint64]:
    """uint64 [tiles, groups, 256, words in a row]: rows of a power of two of bytes, since their number times it is a shift."""
    return partial_sums(products.weights, products.lanes, products.words, products.tiles, products.row // 8)


def emit_bytes(emit: Emitter, products: Products, values: Values) -> Bytes:
    """What all tiles share; ``values`` are the bytes."""
    ends = tuple(-(-end // INPUTS) for end in products.ends)
    lists = tuple(emit.region(list_size(end - start)) for start, end in zip((0, *ends), ends, strict=False))
    emit_lists(emit, values, ends, lists)
    return Bytes(values, lists, ends)


def emit_row_sums(emit: Emitter, products: Products, given: Bytes, outputs: int, parts: tuple[Part, Part], left: int) -> Source:
    """The sums of one tile's ``outputs``, u32 each, at ``left`` from r10, by its table and seeds; no register survives."""
    table, seeds = parts
    lanes, words = products.lanes, products.lanes.words(outputs)
    start = 0
    for segment, end in enumerate(given.ends):
        emit.note(f"bytes {start}..{end - 1}: rows of {words} words of {lanes.count} lanes of {lanes.bits} bits")
        seeds.point(emit, _ROW)
        for word in range(words):
            emit.load(_ACCUMULATORS[word], "u64", _ROW, 8 * (segment * products.words + word))
        _emit_rows(emit, products, given, segment, end - start, words, table)
        emit_flush(emit, lanes, outputs, left, first=segment == 0, accumulators=_ACCUMULATORS, free=(_TERM, _ROW))
        start = end
    return Source(lanes, (), left)


def _emit_rows(emit: Emitter, products: Products, given: Bytes, segment: int, count: int, words: int, table: Part) -> None:
    shift, done = products.row.bit_length() - 1, emit.fresh("rows")
    emit.point(_ROW, given.lists[segment])
    with emit.scratch(16) as entry:
        emit.store("u64", R10, entry, _ROW)

        def turn() -> None:
            for number in range(_AT_A_TIME):
                emit.load(_ROW, "u64", R10, entry)
                emit_index(emit, _ROW, _ROW, number, given.values.size - 1, done)
                emit.load(_TERM, "u64", R10, given.values.place.slot)
                emit.alu(_TERM, "+=", _ROW)
                emit.load(_TERM, "u8", _TERM, given.values.place.offset)
                emit.alu(_ROW, "<<=", shift + ROWS.bit_length() - 1)
                emit.alu(_TERM, "<<=", shift)
                emit.alu(_TERM, "+=", _ROW)
                table.point(emit, _ROW)
                emit.alu(_ROW, "+=", _TERM)
                for word in range(words):
                    emit.load(_TERM, "u64", _ROW, 8 * word)
                    emit.alu(_ACCUMULATORS[word], "+=", _TERM)
            emit.load(_ROW, "u64", R10, entry)
            emit.alu(_ROW, "+=", 2 * _AT_A_TIME)
            emit.store("u64", R10, entry, _ROW)

        emit.repeat(count // _AT_A_TIME + 1, entry + 8, _TERM, turn)
        emit.label(done)
        emit.forget((_TERM, _ROW), (entry, entry + 8))
