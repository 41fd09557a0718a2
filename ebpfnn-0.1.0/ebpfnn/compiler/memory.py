"""Filling and copying bytes, eight at a time: BPF has no memset and no memcpy."""

from __future__ import annotations

from ..layers import image_shape
from ..obj.asm import R0, R1, R2, R3
from .emitter import Emitter, Place
from .values import Values

_FROM, _TO, _WORD, _TERM = R1, R2, R3, R0
_AT_A_TIME = 8
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


def emit_edged_copy(emit: Emitter, source: Values, target: Values) -> None:
    """Copies an image into the middle of one with an edge; no register survives."""
    channels, rows, columns = image_shape(source.shape)
    emit.note(f"copy {channels * rows} rows of {columns} to where they have an edge")
    emit.point(_FROM, source.place)
    emit.point(_TO, target.place.at(target.first))

    def row() -> None:
        _emit_row(emit, columns)
        emit.alu(_FROM, "+=", columns)
        emit.alu(_TO, "+=", target.row)

    with emit.scratch(16) as counters:

        def plane() -> None:
            emit.repeat(rows, counters, _TERM, row)
            if channels > 1:
                emit.alu(_TO, "+=", target.plane - rows * target.row)

        emit.repeat(channels, counters + 8, _TERM, plane)


def _emit_row(emit: Emitter, size: int) -> None:
    """``size`` bytes and no byte more."""
    at = 0
    for width, name in _SIZES:
        while size - at >= width:
            _emit_word(emit, name, at)
            at += width


def _emit_word(emit: Emitter, name: str, at: int) -> None:
    emit.load(_WORD, name, _FROM, at)
    emit.store(name, _TO, at, _WORD)
