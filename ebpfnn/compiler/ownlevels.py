"""Levels of values that have thresholds of their own: by a table with a row of 256 levels for each value.

They are stored one a byte, or side by side, as :mod:`ebpfnn.compiler.evenly` does. For the latter, each row
stores its levels shifted to the bits of its value, so that the levels of one byte only need an OR.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..network.encoding import value_tables
from ..network.inputformat import InputFormat
from ..obj.asm import R0, R1, R2, R3, R4
from .emitter import SAMPLE, Emitter, Place
from .partial import BYTE
from .values import SLACK, Values

_FROM, _TO, _TERM, _ROWS, _BYTE = R0, R1, R2, R3, R4
_ROW = 256
_AT_A_TIME = 8


def own_rows(form: InputFormat, bits: int) -> NDArray[np.uint8]:
    """uint8 [values, 256]: the level of each byte, shifted to its bits in a byte that holds several levels of ``bits``."""
    places = np.arange(form.size) % (BYTE // bits) * bits
    rows: NDArray[np.uint8] = value_tables(form.value_thresholds) << places[:, None].astype(np.uint8)
    return rows


def emit_own_levels(emit: Emitter, form: InputFormat, *, side_by_side: bool) -> Values:
    """The levels of an unpacked sample: a byte each, or ``side_by_side``. No register survives."""
    bits = form.bits if side_by_side else BYTE
    each = BYTE // bits
    groups = -(-form.size // each)
    place = emit.region(groups + SLACK)
    emit.note(f"{form.bits}-bit levels by a table for each value, {each} a byte")
    table = emit.table("levels", own_rows(form, bits))
    emit.point(_FROM, Place(SAMPLE))
    emit.point(_TO, place)
    emit.map_value(_ROWS, table)

    def turn(count: int) -> None:
        for number in range(count):
            first, last = number % each == 0, (number + 1) % each == 0 or number + 1 == count
            _emit_level(emit, number, first=first)
            if last:
                emit.store("u8", _TO, number // each, _BYTE)
        emit.alu(_FROM, "+=", count)
        emit.alu(_TO, "+=", -(-count // each))
        emit.alu(_ROWS, "+=", _ROW * count)

    emit.turns(form.size, _AT_A_TIME, _TERM, turn)
    return Values(place, (groups,) if side_by_side else form.shape, 0, 255 if side_by_side else form.highest)


def _emit_level(emit: Emitter, number: int, *, first: bool) -> None:
    """The level of the value ``number`` of this turn, alone in the byte where it is the ``first`` of it."""
    emit.load(_TERM, "u8", _FROM, number)
    emit.alu(_TERM, "+=", _ROWS)
    emit.load(_BYTE if first else _TERM, "u8", _TERM, _ROW * number)
    if not first:
        emit.alu(_BYTE, "|=", _TERM)
