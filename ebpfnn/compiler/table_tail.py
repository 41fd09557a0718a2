"""Adds the rows that bytes of whole words select: the layer behind one whose sums are bytes.

A shift and a mask make a byte of a word the offset of its row. The words stay in registers if those of both layers fit;
otherwise each goes through memory as it is. The rows of a group lie side by side, since its numbers are seldom far apart: they
are sums of many rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..obj.asm import R6, R7, R8, R9, R10, Register
from .emitter import FARTHEST, Emitter, Place
from .partial import BYTE
from .table_rows import SUMS
from .tables import RowTables

MOST_WORDS = 7
"""The most words of both layers together."""
MOST_BEHIND = 6
"""The most words of the layer behind."""
_WORD_BYTES = 8
_WORD, _TABLE, _NUMBER, _TERM = R6, R7, R8, R9


@dataclass(frozen=True)
class Words:
    """Bytes, eight a word, the first in the least significant bits. By ``shift`` to the right, they are values.

    The words are in ``registers``, or if there are none, at ``place``.
    """

    shift: int
    registers: tuple[Register, ...]
    place: Place

    def emit_word(self, emit: Emitter, number: int) -> Register:
        """The register that has the word of that number."""
        if self.registers:
            return self.registers[number]
        emit.load(_WORD, "u64", R10, self.place.slot)
        emit.load(_WORD, "u64", _WORD, self.place.offset + _WORD_BYTES * number)
        return _WORD

    def sums(self, count: int) -> tuple[Register, ...]:
        """The registers of the ``count`` words of sums of the layer behind."""
        return SUMS[len(self.registers) : len(self.registers) + count]


def words_fit(first: int, second: int) -> bool:
    """Whether both layers' words, ``first`` and ``second``, fit the registers."""
    return first + second <= MOST_WORDS


def emit_word_rows(emit: Emitter, tables: RowTables, table: str, words: Words, count: int) -> None:
    """Adds a row of ``count`` words for each group of ``tables`` to ``words.sums(count)``.

    The table with that name has rows, uint64 [groups, numbers, words].
    """
    size, mask = _WORD_BYTES * count, (1 << BYTE - words.shift) - 1
    emit.map_value(_TABLE, table)
    pointed, loaded, source = 0, -1, _WORD
    for group, (place,) in enumerate(tables.places.tolist()):
        start = group * tables.numbers * size
        if start + size - pointed > FARTHEST:
            emit.alu(_TABLE, "+=", start - pointed)
            pointed = start
        word, byte = divmod(place, _WORD_BYTES)
        if word != loaded:
            source, loaded = words.emit_word(emit, word), word
        _emit_offset(emit, source, BYTE * byte + words.shift, mask, size)
        emit.alu(_NUMBER, "+=", _TABLE)
        for at, into in enumerate(words.sums(count)):
            emit.load(_TERM, "u64", _NUMBER, start - pointed + _WORD_BYTES * at)
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
