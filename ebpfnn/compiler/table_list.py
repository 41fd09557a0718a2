"""Rows of the bytes that are not blank, from a list of these bytes that is made without a branch on data.

Where a row has seven or eight words, a row added in vain and a mispredicted branch both cost much. So a list tells which bytes
are not blank. It is made eight bytes at a time as in :mod:`ebpfnn.compiler.nonzero`, with one byte an entry. Then one row is
added for each entry, until an entry is no byte's. The check that ends the list is also the verifier's proof that an entry is
one of the bytes. Only the end of the list is mispredicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10
from .emitter import Emitter, Place
from .memory import emit_last_bytes
from .nonzero import GATHER, SEVENS, TOPS, Scan, emit_row_of
from .partial import BYTE
from .table_rows import SUMS
from .tables import RowTables
from .tile import Part
from .values import Values

GROUP = 8
MOST_BYTES = 248
"""The most bytes that a list can tell apart: an entry has a byte, and all its bits mean the end."""
TABLE_BYTES = 256 * 16
_END = 0xFF
_LONGEST = 15  # entries that the verifier assumes eight bytes add
_ONES = 0x0101010101010101
_WORD, _INPUT, _LIST, _SEVENS_IN, _TOPS_IN, _GATHER_IN, _TABLE, _BASE, _ROW = R0, R1, R2, R3, R4, R5, R6, R7, R9
_SCAN = Scan(_WORD, _ROW, _SEVENS_IN, _TOPS_IN, _GATHER_IN, _TABLE)
_ENTRY, _NUMBER = R8, R9


def bytes_of(tables: RowTables) -> int:
    """The bytes that select rows, from the first input on."""
    return int(tables.places.max()) + 1


def can_list(tables: RowTables) -> bool:
    """Whether each number is a byte as it is, and the bytes are few."""
    whole = tables.places.shape[1] == 1 and tables.low == 0 and tables.bits == BYTE
    return bool(whole and tables.groups and bytes_of(tables) <= MOST_BYTES)


def list_size(inputs: int) -> int:
    """The bytes of the list of ``inputs`` bytes, as far as the verifier can tell."""
    return _LONGEST * -(-inputs // GROUP) + GROUP


@cache
def entries() -> NDArray[np.uint8]:
    """For each eight bits, the places of those that are 1, uint8 [256, 16], and in the ninth byte how many they are."""
    table = np.zeros((256, 16), np.uint8)
    for number in range(256):
        ones = [bit for bit in range(GROUP) if number >> bit & 1]
        table[number, : len(ones)], table[number, GROUP] = ones, len(ones)
    return table


def every_byte(rows: NDArray[np.uint64], tables: RowTables) -> NDArray[np.uint64]:
    """Rows [groups, numbers, words] as those of every byte, [bytes, numbers, words]; bytes without a group add nothing."""
    found = np.zeros((bytes_of(tables), *rows.shape[1:]), np.uint64)
    found[tables.places[:, 0]] = rows
    return found


def emit_list(emit: Emitter, inputs: int, values: Values) -> Place:
    """Lists those of the first ``inputs`` bytes of ``values`` that are not 0. No register survives."""
    emit.note(f"list the {inputs} bytes that are not blank")
    name = "entries"
    emit.tables[name] = entries().tobytes()
    place = emit.region(list_size(inputs))
    for register, constant in ((_SEVENS_IN, SEVENS), (_TOPS_IN, TOPS), (_GATHER_IN, GATHER)):
        emit.wide(register, constant)
    emit.map_value(_TABLE, name)
    emit.point(_INPUT, values.place)
    emit.point(_LIST, place)
    whole, rest = divmod(inputs, GROUP)
    for group in range(whole):
        emit.load(_WORD, "u64", _INPUT, GROUP * group)
        _emit_entries(emit, group)
    if rest:
        emit.alu(_INPUT, "+=", GROUP * whole)
        emit_last_bytes(emit, _WORD, _ROW, _INPUT, rest)
        _emit_entries(emit, whole)
    emit.store("u8", _LIST, 0, _END)
    return place


def _emit_entries(emit: Emitter, group: int) -> None:
    """Adds those of the word to the list: always eight bytes, of which the next ones overwrite what is none."""
    emit_row_of(emit, _SCAN, 4)
    emit.load(_WORD, "u64", _ROW)
    emit.load(_ROW, "u8", _ROW, GROUP)
    emit.alu(_ROW, "&=", _LONGEST)
    if group:
        emit.wide(_BASE, GROUP * group * _ONES)
        emit.alu(_WORD, "+=", _BASE)
    emit.store("u64", _LIST, 0, _WORD)
    emit.alu(_LIST, "+=", _ROW)


@dataclass(frozen=True)
class ListAdder:
    """Adds ``words`` words of the rows of the bytes in ``listed`` to :data:`~ebpfnn.compiler.table_rows.SUMS`.

    The rows of one number, ``apart`` words each, lie side by side for all bytes. No other register survives.
    """

    emit: Emitter
    inputs: int
    values: Values
    part: Part
    apart: int
    words: int
    listed: Place

    def add(self) -> None:
        emit, inputs, size = self.emit, self.inputs, 8 * self.apart
        done = emit.fresh("listed")
        for number in range(inputs):
            emit.load(_ENTRY, "u64", R10, self.listed.slot)
            emit.load(_ENTRY, "u8", _ENTRY, self.listed.offset + number)
            emit.jump_if(_ENTRY, ">", inputs - 1, done)
            emit.load(_NUMBER, "u64", R10, self.values.place.slot)
            emit.alu(_NUMBER, "+=", _ENTRY)
            emit.load(_NUMBER, "u8", _NUMBER, self.values.place.offset)
            emit.alu(_NUMBER, "*=", size * inputs)
            emit.alu(_ENTRY, "*=", size)
            emit.alu(_NUMBER, "+=", _ENTRY)
            self.part.point(emit, _ENTRY)
            emit.alu(_NUMBER, "+=", _ENTRY)
            for word in range(self.words):
                emit.load(_ENTRY, "u64", _NUMBER, 8 * word)
                emit.alu(SUMS[word], "+=", _ENTRY)
        emit.label(done)
