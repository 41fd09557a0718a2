"""Computes levels with evenly spaced thresholds by a line instead of a table, eight values at a time.

If ``(x * slope + start) >> 8`` is the level of every byte x, four products fit one word, one in each 16 bits. So eight bytes
take two multiplications, one for the bytes at even places and one for those at odd places. The line may exceed the highest
level by one (if the interval of the highest level is the widest); such a level is then lowered by one. The levels are stored
one per byte, or side by side: then levels of two or four bits share a byte, the first in the least significant bits.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ..network.inputformat import InputFormat
from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8
from .emitter import SAMPLE, Emitter, Place
from .memory import Eights, emit_eights
from .partial import BYTE
from .values import SLACK, Values

_LANES = 0x0001000100010001
_FROM, _TO, _WORD, _EVEN, _BYTES, _START, _LEVELS, _ONES, _PAST = R0, R1, R2, R3, R4, R5, R6, R7, R8
_AT_A_TIME = 7
_STEEPEST = 255


class Line(NamedTuple):
    """``(x * slope + start) >> 8``, below 65,536 before the shift. ``clipped``: it exceeds the highest level by one."""

    slope: int
    start: int
    clipped: bool


@cache
def find_line(form: InputFormat) -> Line | None:
    """The line that gives the level of every byte x.

    None if no line does, for inputs of 8 bits, and if each value has its own thresholds.
    """
    if form.bits == BYTE or form.value_thresholds:
        return None
    steps = list(enumerate(form.thresholds, 1))
    for slope in range(1, _STEEPEST + 1):
        start = max(0, *(256 * level - slope * threshold for level, threshold in steps))
        below = min(256 * level - slope * (threshold - 1) for level, threshold in steps)
        end = (255 * slope + start) >> 8
        if start < below and end <= form.highest + 1:
            return Line(slope, start, end > form.highest)
    return None


def emit_even_levels(emit: Emitter, form: InputFormat, *, side_by_side: bool) -> Values:
    """Writes the levels of a sample that has a line: one per byte, or ``side_by_side``. No register survives."""
    line = find_line(form)
    if line is None:
        raise ValueError(f"thresholds {form.thresholds} are not evenly spread")
    bits = form.bits if side_by_side else BYTE
    place = emit.region(form.size * bits // BYTE + SLACK)
    emit.note(f"{form.bits}-bit levels of eight values at a time, {BYTE // bits} a byte")
    emit.wide(_BYTES, 0xFF * _LANES)
    emit.wide(_START, line.start * _LANES)
    emit.wide(_LEVELS, (form.highest + (line.clipped << form.bits)) * _LANES)
    emit.wide(_ONES, _LANES)
    emit.point(_FROM, Place(SAMPLE))
    emit.point(_TO, place)

    def word(offset: int) -> None:
        _emit_word(emit, form, line, bits, offset)

    emit_eights(emit, Eights(_FROM, _TO, _WORD, _EVEN), form.size, bits, _AT_A_TIME, word)
    if side_by_side:
        return Values(place, (-(-form.size * bits // BYTE),), 0, 255)
    return Values(place, form.shape, 0, form.highest)


def _emit_word(emit: Emitter, form: InputFormat, line: Line, bits: int, target: int) -> None:
    """Stores the levels of the eight bytes of the word, ``bits`` each, ``target`` bytes behind the start of the output."""
    emit.mov(_EVEN, _WORD)
    emit.alu(_WORD, ">>=", 8)
    for register in (_EVEN, _WORD):
        emit.alu(register, "&=", _BYTES)
        emit.alu(register, "*=", line.slope)
        emit.alu(register, "+=", _START)
        emit.alu(register, ">>=", 8)
        emit.alu(register, "&=", _LEVELS)
        if line.clipped:
            emit.mov(_PAST, register)
            emit.alu(_PAST, ">>=", form.bits)
            emit.alu(_PAST, "&=", _ONES)
            emit.alu(register, "-=", _PAST)
    emit.alu(_WORD, "<<=", bits)
    emit.alu(_WORD, "|=", _EVEN)
    if bits == BYTE:
        emit.store("u64", _TO, target, _WORD)
    elif bits == 4:
        _emit_folded(emit, 8)
        emit.store("u16", _TO, target, _WORD)
        emit.alu(_WORD, ">>=", 32)
        emit.store("u16", _TO, target + 2, _WORD)
    else:
        _emit_folded(emit, 12)
        _emit_folded(emit, 24)
        emit.store("u16", _TO, target, _WORD)


def _emit_folded(emit: Emitter, distance: int) -> None:
    emit.mov(_EVEN, _WORD)
    emit.alu(_EVEN, ">>=", distance)
    emit.alu(_WORD, "|=", _EVEN)
