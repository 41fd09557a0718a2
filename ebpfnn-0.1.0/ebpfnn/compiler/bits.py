"""One-bit inputs, eight in a byte: as the sample has them, or made of eight of its bytes at a time.

Which bytes of a word reach a threshold is found for all eight together. For a threshold t of at most 128, x >= t is where
``(x & 0x7f) + 128 - t`` carries into bit 7, or bit 7 of x is set; above it, ``256 - t`` is added and both must hold. A
multiplication then gathers the eight bits in the top byte, as in :mod:`ebpfnn.compiler.nonzero`.
"""

from __future__ import annotations

from ..layers import InputFormat
from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R10, Register
from .emitter import SAMPLE, Emitter, Place
from .values import Values

_ONES = 0x0101010101010101
_GATHER = 0x0002040810204081
"""Times a word of bits 8 i + 7, its bits 49 - 7 i put them side by side from bit 56 on."""
_FROM, _TO, _WORD, _TERM, _SEVENS, _ADDED, _TOPS, _GATHER_IN = R0, R1, R2, R3, R4, R5, R6, R7
_AT_A_TIME = 7
_INPUTS = 8


def emit_bits(emit: Emitter, form: InputFormat, *, gathered: bool) -> Values:
    """The inputs as bytes of eight, u8 [ceil(size / 8)]. No register survives.

    Where they need not be ``gathered``, because they are read only once, and the threshold is even, the sample as it is.
    """
    groups = -(-form.size // _INPUTS)
    if form.packed:
        return Values(Place(SAMPLE), (groups,), 0, 255)
    (threshold,) = form.thresholds
    if not gathered and threshold % 2 == 0:
        return Values(Place(SAMPLE), (form.size,), 0, 255, threshold=threshold)
    place = emit.region(groups)
    emit.note(f"one bit for each value of {threshold} or more, eight together")
    emit.wide(_SEVENS, 0x7F * _ONES)
    emit.wide(_ADDED, (128 - threshold if threshold <= 128 else 256 - threshold) * _ONES)
    emit.wide(_TOPS, 0x80 * _ONES)
    emit.wide(_GATHER_IN, _GATHER)
    emit.point(_FROM, Place(SAMPLE))
    emit.point(_TO, place)

    def turn(count: int) -> None:
        for number in range(count):
            emit.load(_WORD, "u64", _FROM, _INPUTS * number)
            _emit_gather(emit, number, low=threshold <= 128)
        emit.alu(_FROM, "+=", _INPUTS * count)
        emit.alu(_TO, "+=", count)

    whole, rest = divmod(form.size, _INPUTS)
    if whole:
        emit.turns(whole, _AT_A_TIME, _WORD, turn)
    if rest:
        emit.mov(_WORD, 0)
        for byte in range(rest):
            emit.load(_TERM, "u8", _FROM, byte)
            emit.alu(_TERM, "<<=", 8 * byte)
            emit.alu(_WORD, "|=", _TERM)
        _emit_gather(emit, 0, low=threshold <= 128)
    return Values(place, (groups,), 0, 255)


def emit_group(emit: Emitter, values: Values, number: int, word: Register, base: Register) -> None:
    """``word`` = eight inputs: 0 where none of them is set. ``base`` points to the values, and is lost only at their end."""
    if values.threshold is None:
        emit.load_far(word, "u8", base, values.place.offset + number)
        return
    size = min(_INPUTS, values.size - _INPUTS * number)
    if size == _INPUTS:
        emit.load_far(word, "u64", base, _INPUTS * number)
        return
    emit.mov(word, 0)
    for byte in range(size):
        emit.load(base, "u64", R10, values.place.slot)
        emit.load_far(base, "u8", base, _INPUTS * number + byte)
        emit.alu(base, "<<=", 8 * byte)
        emit.alu(word, "|=", base)


def emit_halved_gather(emit: Emitter, word: Register, free: Register, threshold: int) -> None:
    """``word``, eight bytes, becomes their eight bits, with one register more.

    For an even threshold t, x >= t is where ``(x >> 1) + 128 - t / 2`` carries into bit 7, and x is not needed again.
    """
    steps = (("&=", 0x7F * _ONES), ("+=", (128 - threshold // 2) * _ONES), ("&=", 0x80 * _ONES), ("*=", _GATHER))
    emit.alu(word, ">>=", 1)
    for operator, constant in steps:
        emit.wide(free, constant)
        emit.alu(word, operator, free)
    emit.alu(word, ">>=", 56)


def _emit_gather(emit: Emitter, number: int, *, low: bool) -> None:
    emit.mov(_TERM, _WORD)
    emit.alu(_TERM, "&=", _SEVENS)
    emit.alu(_TERM, "+=", _ADDED)
    emit.alu(_TERM, "|=" if low else "&=", _WORD)
    emit.alu(_TERM, "&=", _TOPS)
    emit.alu(_TERM, "*=", _GATHER_IN)
    emit.alu(_TERM, ">>=", 56)
    emit.store("u8", _TO, number, _TERM)
