"""Converts a sample to levels, one per byte, with a table that has a row for each value of a byte.

The row of a packed byte holds its 2, 4 or 8 levels; the row of a byte with one input holds the number of thresholds that it
reaches. :mod:`ebpfnn.compiler.sample` says when other code is used instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..network.inputformat import InputFormat
from ..obj.asm import R0, R1, R2, R3
from .emitter import SAMPLE, Emitter, Place
from .values import SLACK, Values

_FROM, _TO, _TERM, _ROW = R0, R1, R2, R3
_SIZES = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}
_AT_A_TIME = 8


def level_rows(form: InputFormat) -> NDArray[np.uint8]:
    """The levels of each byte, uint8 [256, levels a byte]."""
    numbers = np.arange(256)
    if not form.packed:
        return np.searchsorted(form.thresholds, numbers, side="right").astype(np.uint8)[:, None]
    shifts = np.arange(0, 8, form.bits)
    shifts = shifts[::-1] if form.bit_order == "big" else shifts
    levels: NDArray[np.uint8] = (numbers[:, None] >> shifts & form.highest).astype(np.uint8)
    return levels


def emit_level_rows(emit: Emitter, form: InputFormat) -> Values:
    """Writes the first layer's values, one per byte, for inputs of fewer than 8 bits. No register survives."""
    rows = level_rows(form)
    place, width = emit.region(form.sample_bytes * rows.shape[1] + SLACK), rows.shape[1]
    emit.note(f"{form.bits}-bit levels, {width} a byte of the sample, by table")
    table = emit.table("levels", rows)
    emit.point(_FROM, Place(SAMPLE))
    emit.point(_TO, place)

    def turn(count: int) -> None:
        for number in range(count):
            emit.load(_TERM, "u8", _FROM, number)
            emit.alu(_TERM, "*=", width)
            emit.map_value(_ROW, table)
            emit.alu(_ROW, "+=", _TERM)
            emit.load(_TERM, _SIZES[width], _ROW)
            emit.store(_SIZES[width], _TO, number * width, _TERM)
        emit.alu(_FROM, "+=", count)
        emit.alu(_TO, "+=", count * width)

    emit.turns(form.sample_bytes, _AT_A_TIME, _TERM, turn)
    return Values(place, form.shape, 0, form.highest)
