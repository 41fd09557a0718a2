"""One-bit inputs of unpacked samples: eight bytes are compared with the threshold at a time, and become the bits of one byte.

For a threshold t of at most 128, a byte x is at least t where ``(x & 0x7f) + 128 - t`` carries into bit 7, or where bit 7 of x
is set. For a larger t, ``256 - t`` is added, and both must hold. No sum passes 255, so nothing is carried from one byte of a
word to the next. A multiplication then gathers the eight bits in the top byte, as in :mod:`ebpfnn.compiler.nonzero`.
"""

from __future__ import annotations

from ..network.layers import InputFormat
from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, Register
from .emitter import SAMPLE, Emitter, Place
from .memory import Eights, emit_eights, emit_last_bytes
from .values import Values

_ONES = 0x0101010101010101
_GATHER = 0x0002040810204081
"""Times a word of bits 8 i + 7, its bits 49 - 7 i put them side by side from bit 56 on."""
_FROM, _TO, _WORD, _TERM, _SEVENS, _ADDED, _TOPS, _GATHER_IN = R0, R1, R2, R3, R4, R5, R6, R7
_AT_A_TIME = 7
_INPUTS = 8


def emit_bits(emit: Emitter, form: InputFormat) -> Values:
    """Gathers the inputs of an unpacked sample, eight in a byte, u8 [ceil(size / 8)]. No register survives."""
    groups = -(-form.size // _INPUTS)
    (threshold,) = form.thresholds
    place = emit.region(groups)
    emit.note(f"one bit for each value of {threshold} or more, eight together")
    emit.wide(_SEVENS, 0x7F * _ONES)
    emit.wide(_ADDED, (128 - threshold if threshold <= 128 else 256 - threshold) * _ONES)
    emit.wide(_TOPS, 0x80 * _ONES)
    emit.wide(_GATHER_IN, _GATHER)
    emit.point(_FROM, Place(SAMPLE))
    emit.point(_TO, place)

    def gather(offset: int) -> None:
        _emit_gather(emit, offset, low=threshold <= 128)

    emit_eights(emit, Eights(_FROM, _TO, _WORD, _TERM), form.size, 1, _AT_A_TIME, gather)
    return Values(place, (groups,), 0, 255)


def emit_group(emit: Emitter, values: Values, number: int, word: Register, base: Register) -> None:
    """``word`` = the byte that holds eight inputs, or where there is a threshold, the eight bytes that are compared with it.

    ``base`` points to the values. It is lost where fewer than eight bytes are left of them.
    """
    if values.threshold is None:
        emit.load_far(word, "u8", base, values.place.offset + number)
        return
    size = min(_INPUTS, values.size - _INPUTS * number)
    if size == _INPUTS:
        emit.load_far(word, "u64", base, _INPUTS * number)
        return
    emit_last_bytes(emit, word, base, base, size, offset=_INPUTS * number, slot=values.place.slot)


def emit_halved_gather(emit: Emitter, word: Register, free: Register, threshold: int) -> None:
    """``word``, eight bytes, becomes the eight bits that they are to ``threshold``; needs only one register besides, ``free``.

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
