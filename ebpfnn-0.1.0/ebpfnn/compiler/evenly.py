"""Levels whose thresholds are evenly spread: a straight line instead of a table, for eight values at a time.

Where ``(x * slope + start) >> 8`` is the level of every byte x, four products fit a word, one in each 16 bits. So the even
bytes of a word and its odd ones take a multiplication each. The line may go one level too far, as it does where the highest
level is the widest: then what has passed the highest is taken back. The levels become bytes again, or go side by side:
neighbors of two or four bits share a byte, the first in the least significant bits.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ..layers import InputFormat
from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8
from .emitter import SAMPLE, Emitter, Place
from .partial import BYTE
from .values import Values

_LANES = 0x0001000100010001
_FROM, _TO, _WORD, _EVEN, _BYTES, _START, _LEVELS, _ONES, _PAST = R0, R1, R2, R3, R4, R5, R6, R7, R8
_TOGETHER = 8
_AT_A_TIME = 7
_STEEPEST = 255


class Line(NamedTuple):
    """``(x * slope + start) >> 8``, below 65,536 before the shift; one too much at its end where it is ``clipped``."""

    slope: int
    start: int
    clipped: bool


@cache
def find_line(form: InputFormat) -> Line | None:
    """That which gives the level of every byte x; None where there is none, or a level takes the whole byte."""
    if form.bits == BYTE:
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
    """The levels of a sample that has a line: a byte each, or ``side_by_side``. No register survives."""
    line = find_line(form)
    if line is None:
        raise ValueError(f"thresholds {form.thresholds} are not evenly spread")
    bits = form.bits if side_by_side else BYTE
    place = emit.region(form.size * bits // BYTE + _TOGETHER)
    emit.note(f"{form.bits}-bit levels of eight values at a time, {BYTE // bits} a byte")
    emit.wide(_BYTES, 0xFF * _LANES)
    emit.wide(_START, line.start * _LANES)
    emit.wide(_LEVELS, (form.highest + (line.clipped << form.bits)) * _LANES)
    emit.wide(_ONES, _LANES)
    emit.point(_FROM, Place(SAMPLE))
    emit.point(_TO, place)

    def turn(count: int) -> None:
        for number in range(count):
            emit.load(_WORD, "u64", _FROM, _TOGETHER * number)
            _emit_word(emit, form, line, bits, number * bits)
        emit.alu(_FROM, "+=", _TOGETHER * count)
        emit.alu(_TO, "+=", bits * count)

    whole, rest = divmod(form.size, _TOGETHER)
    if whole:
        emit.turns(whole, _AT_A_TIME, _WORD, turn)
    if rest:
        emit.mov(_WORD, 0)
        for byte in range(rest):
            emit.load(_EVEN, "u8", _FROM, byte)
            emit.alu(_EVEN, "<<=", 8 * byte)
            emit.alu(_WORD, "|=", _EVEN)
        _emit_word(emit, form, line, bits, 0)
    if side_by_side:
        return Values(place, (-(-form.size * bits // BYTE),), 0, 255)
    return Values(place, form.shape, 0, form.highest)


def _emit_word(emit: Emitter, form: InputFormat, line: Line, bits: int, target: int) -> None:
    """Stores the levels of the word's eight bytes, ``bits`` of each, ``target`` bytes behind where they go."""
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
