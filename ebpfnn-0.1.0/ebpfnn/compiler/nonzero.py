"""Listing the inputs that are not zero, without a branch on data.

Four in five pixels of a digit are zero, and so are half of the outputs of a ReLU; their products need not be made. Asking
each of them costs more than it saves: whether the next one is zero is a coin toss to the branch predictor, and a wrong
guess costs as much as the multiplications. So eight bytes are looked at together:

1. ``((word & 0x7f..) + 0x7f.. | word) & 0x80..`` has the top bit of each byte that is not zero.
2. Times 0x0002040810204081, the eight bits stand side by side in the top byte: a number from 0 to 255.
3. A table of 256 rows tells for each such number the indices of its ones, 16 bits each, and how many they are.

The row is stored behind the list whole, and the list grows by as many as count; the next row overwrites the rest. The list
ends in 0xffff, larger than any index: the check of each index that the verifier demands is also what ends the loop over it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Register
from .emitter import Emitter, Place
from .values import Values

GROUP = 8
LARGEST_INDEX = 0xFFFE
END = 0xFFFF
_AT_A_TIME = 7  # groups: 784 inputs are 14 times as many
_ROW_SHIFT = 5  # rows of 32 bytes: eight indices and the length in bytes
_LONGEST = 30  # bytes that the verifier thinks a row adds: all values of the bits that 16 = 8 indices takes
_SEVENS, _TOPS, _GATHER = 0x7F7F7F7F7F7F7F7F, 0x8080808080808080, 0x0002040810204081
_LANES = 0x0001000100010001
_WORD, _ROW, _TABLE, _SEVENS_IN, _TOPS_IN, _GATHER_IN = R0, R1, R2, R3, R4, R5
_INPUT, _LIST, _BASE, _STEP = R6, R7, R8, R9


def list_size(inputs: int) -> int:
    """Bytes that the list of a run of ``inputs`` needs, as far as the verifier can see."""
    return _LONGEST * -(-inputs // GROUP) + 2 * GROUP


@cache
def rows() -> NDArray[np.uint16]:
    """The table of step 3, uint16 [256, 16]: indices in order, then from the ninth place twice their number."""
    table = np.zeros((256, 16), np.uint16)
    for number in range(256):
        ones = [bit for bit in range(GROUP) if number >> bit & 1]
        table[number, : len(ones)], table[number, GROUP] = ones, 2 * len(ones)
    return table


def emit_lists(
    emit: Emitter, values: Values, ends: tuple[int, ...], lists: tuple[Place, ...], lengths: tuple[Place, ...] = ()
) -> None:
    """Lists the non-zero values of each segment, which ends where ``ends`` says, in one of ``lists``; no register survives.

    Every end but the last is a multiple of :data:`GROUP`. Where there are ``lengths``, how many bytes each list has becomes
    a u64 there.
    """
    name = "nonzero"
    emit.tables[name] = rows().tobytes()
    for register, constant in ((_SEVENS_IN, _SEVENS), (_TOPS_IN, _TOPS), (_GATHER_IN, _GATHER), (_STEP, GROUP * _LANES)):
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
            _emit_tail(emit, rest)
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


def _emit_group(emit: Emitter) -> None:
    """Lists what is not zero in the eight bytes of the word."""
    emit.mov(_ROW, _WORD)
    emit.alu(_ROW, "&=", _SEVENS_IN)
    emit.alu(_ROW, "+=", _SEVENS_IN)
    emit.alu(_ROW, "|=", _WORD)
    emit.alu(_ROW, "&=", _TOPS_IN)
    emit.alu(_ROW, "*=", _GATHER_IN)
    emit.alu(_ROW, ">>=", 56)
    emit.alu(_ROW, "<<=", _ROW_SHIFT)
    emit.alu(_ROW, "+=", _TABLE)
    for half in (0, 8):
        emit.load(_WORD, "u64", _ROW, half)
        emit.alu(_WORD, "+=", _BASE)
        emit.store("u64", _LIST, half, _WORD)
    emit.load(_ROW, "u8", _ROW, 2 * GROUP)
    emit.alu(_ROW, "&=", _LONGEST)
    emit.alu(_LIST, "+=", _ROW)
    emit.alu(_BASE, "+=", _STEP)


def _emit_tail(emit: Emitter, size: int) -> None:
    """The last ``size`` bytes in one word; what lies behind them may not be ours to read."""
    emit.mov(_WORD, 0)
    for byte in range(size):
        emit.load(_ROW, "u8", _INPUT, byte)
        emit.alu(_ROW, "<<=", 8 * byte)
        emit.alu(_WORD, "|=", _ROW)


def emit_index(emit: Emitter, dst: Register, entry: Register, number: int, largest: int, done: str) -> None:
    """``dst`` = index ``number`` behind ``entry``; to ``done`` where the list ended."""
    emit.load(dst, "u16", entry, 2 * number)
    emit.jump_if(dst, ">", largest, done)
