"""Fills and copies bytes, and loads the last few of them: BPF has no memset and no memcpy.

Fills and whole rows use words of eight bytes. The verifier refuses a load past the end of a sample, so the remaining bytes of a
sample are loaded one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..network.layers import image_shape
from ..obj.asm import R0, R1, R2, R3, R10, Register
from .emitter import Emitter, Place
from .values import Values

_FROM, _TO, _WORD, _TERM = R1, R2, R3, R0
_AT_A_TIME = 8
_MOST_WRITTEN = 2048  # bytes of a row whose copy is written out
_SIZES = ((8, "u64"), (4, "u32"), (2, "u16"), (1, "u8"))


def emit_fill(emit: Emitter, place: Place, size: int, value: int) -> None:
    """Fills ``size`` bytes, and up to seven more, with a byte; no register survives."""
    emit.note(f"fill {size} bytes with {value}")
    emit.wide(_WORD, (value & 0xFF) * 0x0101010101010101)
    emit.point(_TO, place)
    words = -(-size // 8)

    def turn(count: int) -> None:
        for word in range(count):
            emit.store("u64", _TO, 8 * word, _WORD)
        emit.alu(_TO, "+=", 8 * count)

    emit.turns(words, _AT_A_TIME, _TERM, turn)


def emit_last_bytes(
    emit: Emitter, word: Register, byte: Register, base: Register, size: int, *, offset: int = 0, slot: int = 0
) -> None:
    """``word`` = the ``size`` bytes at ``base + offset``, the first in its lowest bits, and 0 above them. Overwrites ``byte``.

    If ``base`` is ``byte``, it is loaded from the stack slot ``slot`` before each of them.
    """
    emit.mov(word, 0)
    for number in range(size):
        if slot:
            emit.load(base, "u64", R10, slot)
        emit.load_far(byte, "u8", base, offset + number)
        emit.alu(byte, "<<=", 8 * number)
        emit.alu(word, "|=", byte)


class Eights(NamedTuple):
    """The registers of :func:`emit_eights`: pointers to source and target, the word, and one that is overwritten at the end."""

    source: Register
    target: Register
    word: Register
    byte: Register


def emit_eights(emit: Emitter, use: Eights, size: int, step: int, at_a_time: int, body: Callable[[int], None]) -> None:
    """Calls ``body(offset)`` with each eight of ``size`` bytes in the word, the last ones padded with zeros.

    It writes ``step`` bytes at ``offset`` behind the target. One iteration of the loop takes ``at_a_time`` words.
    """

    def turn(count: int) -> None:
        for number in range(count):
            emit.load(use.word, "u64", use.source, 8 * number)
            body(number * step)
        emit.alu(use.source, "+=", 8 * count)
        emit.alu(use.target, "+=", step * count)

    whole, rest = divmod(size, 8)
    if whole:
        emit.turns(whole, at_a_time, use.word, turn)
    if rest:
        emit_last_bytes(emit, use.word, use.byte, use.source, rest)
        body(0)


def emit_edged_copy(emit: Emitter, source: Values, target: Values) -> None:
    """Copies an image into the middle of an image with an edge; no register survives."""
    channels, rows, columns = image_shape(source.shape)
    emit.note(f"copy {channels * rows} rows of {columns} to where they have an edge")
    emit.point(_FROM, source.place)
    emit.point(_TO, target.place.at(target.first))

    def row() -> None:
        _emit_row(emit, columns, target.row - columns)

    with emit.scratch(16) as counters:

        def plane() -> None:
            emit.repeat(rows, counters, _TERM, row)
            if channels > 1:
                emit.alu(_TO, "+=", target.plane - rows * target.row)

        emit.repeat(channels, counters + 8, _TERM, plane)


def is_copied_in_turns(columns: int) -> bool:
    """Whether a row of ``columns`` bytes is copied in a loop, whose counter is on the stack."""
    return columns >= _MOST_WRITTEN


def _emit_row(emit: Emitter, size: int, gap: int) -> None:
    """Copies exactly ``size`` bytes. Moves the pointers past them, and that of the target ``gap`` bytes further."""
    whole, rest = divmod(size, _MOST_WRITTEN)
    if whole:
        with emit.scratch(8) as counter:
            emit.repeat(whole, counter, _TERM, lambda: _emit_piece(emit, _MOST_WRITTEN, 0))
    _emit_piece(emit, rest, gap)


def _emit_piece(emit: Emitter, size: int, gap: int) -> None:
    at = 0
    for width, name in _SIZES:
        while size - at >= width:
            _emit_word(emit, name, at)
            at += width
    emit.alu(_FROM, "+=", size)
    emit.alu(_TO, "+=", size + gap)


def _emit_word(emit: Emitter, name: str, at: int) -> None:
    emit.load(_WORD, name, _FROM, at)
    emit.store(name, _TO, at, _WORD)
