"""Lists the non-zero inputs, without a branch on data.

Four in five pixels of a digit are zero, and so are half of the outputs of a ReLU; their products can be skipped. A branch on
each input costs more than it saves: the branch predictor cannot predict whether the next input is zero, and a misprediction
costs as much as the multiplications. So the code handles eight bytes at a time:

1. ``((word & 0x7f..) + 0x7f.. | word) & 0x80..`` sets the top bit of each byte that is not zero.
2. A multiplication by 0x0002040810204081 gathers these eight bits in the top byte: a number from 0 to 255.
3. A table of 256 rows has, for each such number, the indices of its 1 bits, 16 bits each, and their count.

The whole row is stored at the end of the list, and the list grows by the count; the next row overwrites the rest. The list ends
with 0xffff, which is larger than any index. The verifier requires a check of each index; the same check ends the loop over the
list.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Register
from .emitter import Emitter, Place
from .memory import emit_last_bytes
from .values import Values

GROUP = 8
LARGEST_INDEX = 0xFFFE
TABLE_BYTES = 256 * 32
"""The size of the table of :func:`rows`."""
END = 0xFFFF
_AT_A_TIME = 7  # groups per iteration: 784 inputs are 14 iterations
_ROW_SHIFT = 5  # rows of 32 bytes: eight indices and the length in bytes
_LONGEST = 30  # bytes that the verifier assumes a row adds: this mask keeps all even counts up to 16
SEVENS, TOPS, GATHER = 0x7F7F7F7F7F7F7F7F, 0x8080808080808080, 0x0002040810204081
_LANES = 0x0001000100010001
_WORD, _ROW, _TABLE, _SEVENS_IN, _TOPS_IN, _GATHER_IN = R0, R1, R2, R3, R4, R5
_INPUT, _LIST, _BASE, _STEP = R6, R7, R8, R9


@dataclass(frozen=True)
class Scan:
    """The registers of :func:`emit_row_of`: ``sevens``, ``tops`` and ``gather`` have the constants of those names."""

    word: Register
    row: Register
    sevens: Register
    tops: Register
    gather: Register
    table: Register


_SCAN = Scan(_WORD, _ROW, _SEVENS_IN, _TOPS_IN, _GATHER_IN, _TABLE)


def list_size(inputs: int) -> int:
    """The bytes that the list of ``inputs`` inputs needs, as far as the verifier can tell."""
    return _LONGEST * -(-inputs // GROUP) + 2 * GROUP


@cache
def rows() -> NDArray[np.uint16]:
    """The table of step 3, uint16 [256, 16]: the indices in order, and in the ninth place twice their count."""
    table = np.zeros((256, 16), np.uint16)
    for number in range(256):
        ones = [bit for bit in range(GROUP) if number >> bit & 1]
        table[number, : len(ones)], table[number, GROUP] = ones, 2 * len(ones)
    return table


def emit_lists(
    emit: Emitter, values: Values, ends: tuple[int, ...], lists: tuple[Place, ...], lengths: tuple[Place, ...] = ()
) -> None:
    """Writes a list of the non-zero values of each segment to ``lists``; segments end at ``ends``. No register survives.

    Every end except the last is a multiple of :data:`GROUP`. With ``lengths``, the size of each list in bytes is stored there
    as a u64.
    """
    name = "nonzero"
    emit.tables[name] = rows().tobytes()
    for register, constant in ((_SEVENS_IN, SEVENS), (_TOPS_IN, TOPS), (_GATHER_IN, GATHER), (_STEP, GROUP * _LANES)):
        emit.wide(register, constant)
    emit.map_value(_TABLE, name)
    emit.point(_INPUT, values.place)
    emit.mov(_BASE, 0)
    start = 0
    for number, (end, place) in enumerate(zip(ends, lists, strict=True)):
        emit.note(f"list the inputs {start}..{end - 1} that are not zero")
        emit.point(_LIST, place)
        whole, rest = divmod(end - start, GROUP)
        emit.turns(whole, _AT_A_TIME, _ROW, lambda groups: _emit_groups(emit, groups))
        if rest:
            emit_last_bytes(emit, _WORD, _ROW, _INPUT, rest)
            _emit_group(emit)
        emit.store("u16", _LIST, 0, END - (1 << 16))
        if lengths:
            emit.point(_ROW, place)
            emit.alu(_LIST, "-=", _ROW)
            emit.point(_ROW, lengths[number])
            emit.store("u64", _ROW, 0, _LIST)
        start = end


def _emit_groups(emit: Emitter, groups: int) -> None:
    for group in range(groups):
        emit.load(_WORD, "u64", _INPUT, GROUP * group)
        _emit_group(emit)
    emit.alu(_INPUT, "+=", GROUP * groups)


def emit_row_of(emit: Emitter, scan: Scan, shift: int) -> None:
    """Points ``scan.row`` at the row, of 2^``shift`` bytes, for the set of bytes of ``scan.word`` that are not 0."""
    emit.mov(scan.row, scan.word)
    emit.alu(scan.row, "&=", scan.sevens)
    emit.alu(scan.row, "+=", scan.sevens)
    emit.alu(scan.row, "|=", scan.word)
    emit.alu(scan.row, "&=", scan.tops)
    emit.alu(scan.row, "*=", scan.gather)
    emit.alu(scan.row, ">>=", 56)
    emit.alu(scan.row, "<<=", shift)
    emit.alu(scan.row, "+=", scan.table)


def _emit_group(emit: Emitter) -> None:
    """Lists the non-zero bytes of the word."""
    emit_row_of(emit, _SCAN, _ROW_SHIFT)
    for half in (0, 8):
        emit.load(_WORD, "u64", _ROW, half)
        emit.alu(_WORD, "+=", _BASE)
        emit.store("u64", _LIST, half, _WORD)
    emit.load(_ROW, "u8", _ROW, 2 * GROUP)
    emit.alu(_ROW, "&=", _LONGEST)
    emit.alu(_LIST, "+=", _ROW)
    emit.alu(_BASE, "+=", _STEP)


def emit_index(emit: Emitter, dst: Register, entry: Register, number: int, largest: int, done: str) -> None:
    """``dst`` = index ``number`` behind ``entry``; jumps to ``done`` if the list has ended."""
    emit.load(dst, "u16", entry, 2 * number)
    emit.jump_if(dst, ">", largest, done)
