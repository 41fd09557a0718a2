"""Adds the rows that bytes of words in registers select: the layer after one whose sums are bytes, and stay where they are.

A shift and a mask make a byte the offset of its row, and no byte goes through memory. The rows of a group lie side by side,
since its numbers are seldom far apart: they are sums of many rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..obj.asm import R7, R8, R9, Register
from .emitter import FARTHEST, Emitter
from .partial import BYTE
from .table_rows import SUMS
from .tables import RowTables

MOST_WORDS = 7
"""The most words of both layers together."""
_WORD = 8  # bytes
_TABLE, _NUMBER, _TERM = R7, R8, R9


@dataclass(frozen=True)
class Words:
    """Bytes in registers, eight a word, the first in the least significant bits. By ``shift`` to the right, they are values."""

    registers: tuple[Register, ...]
    shift: int


def words_fit(first: int, second: int) -> bool:
    """Whether both layers' words, ``first`` and ``second``, fit the registers."""
    return first + second <= MOST_WORDS


def sums_behind(words: Words, count: int) -> tuple[Register, ...]:
    """The registers of the ``count`` words of sums."""
    return SUMS[len(words.registers) : len(words.registers) + count]


def emit_word_rows(emit: Emitter, tables: RowTables, table: str, words: Words, sums: tuple[Register, ...]) -> None:
    """Adds a row for each group of ``tables``, from a table of rows, uint64 [groups, numbers, words], with that name."""
    size, mask = _WORD * len(sums), (1 << BYTE - words.shift) - 1
    emit.map_value(_TABLE, table)
    pointed = 0
    for group, (place,) in enumerate(tables.places.tolist()):
        start = group * tables.numbers * size
        if start + size - pointed > FARTHEST:
            emit.alu(_TABLE, "+=", start - pointed)
            pointed = start
        word, byte = divmod(place, _WORD)
        _emit_offset(emit, words.registers[word], BYTE * byte + words.shift, mask, size)
        emit.alu(_NUMBER, "+=", _TABLE)
        for at, into in enumerate(sums):
            emit.load(_TERM, "u64", _NUMBER, start - pointed + _WORD * at)
            emit.alu(into, "+=", _TERM)


def _emit_offset(emit: Emitter, word: Register, low: int, mask: int, size: int) -> None:
    """``size`` times the number in the bits ``mask`` from bit ``low`` of ``word``. A power of two needs no multiplication."""
    up = size.bit_length() - 1 if size & size - 1 == 0 else 0
    emit.mov(_NUMBER, word)
    if low != up:
        emit.alu(_NUMBER, ">>=" if low > up else "<<=", abs(low - up))
    emit.alu(_NUMBER, "&=", mask << up)
    if not up:
        emit.alu(_NUMBER, "*=", size)
