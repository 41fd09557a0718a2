"""Converts unpacked samples to one-bit inputs, eight at a time: compares the bytes with the threshold and packs the bits.

For a threshold t of at most 128, a byte x is at least t if ``(x & 0x7f) + 128 - t`` carries into bit 7, or if bit 7 of x is
set. For a larger t, ``256 - t`` is added, and both conditions must hold. No sum exceeds 255, so nothing is carried from one
byte of a word to the next. A multiplication then gathers the eight bits in the top byte, as in :mod:`ebpfnn.compiler.nonzero`.
"""

from __future__ import annotations

from ..network.inputformat import InputFormat
from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, Register
from .emitter import SAMPLE, Emitter, Place
from .memory import Eights, emit_eights, emit_last_bytes
from .values import Values

_ONES = 0x0101010101010101
_GATHER = 0x0002040810204081
"""Multiplied by a word with the bits 8 i + 7, its bits 49 - 7 i put them side by side, beginning at bit 56."""
FROM, TO, WORD, _TERM, _SEVENS, _ADDED, _TOPS, _GATHER_IN = R0, R1, R2, R3, R4, R5, R6, R7
_AT_A_TIME = 7
_INPUTS = 8


def emit_bits(emit: Emitter, form: InputFormat) -> Values:
    """Packs the inputs of an unpacked sample, eight per byte, u8 [ceil(size / 8)]. No register survives."""
    groups = -(-form.size // _INPUTS)
    (threshold,) = form.thresholds
    place = emit.region(groups)
    emit.note(f"one bit for each value of {threshold} or more, eight together")
    emit_comparison(emit, threshold)
    emit.point(FROM, Place(SAMPLE))
    emit.point(TO, place)

    def gather(offset: int) -> None:
        emit_gather(emit, offset, low=threshold <= 128)

    emit_eights(emit, Eights(FROM, TO, WORD, _TERM), form.size, 1, _AT_A_TIME, gather)
    return Values(place, (groups,), 0, 255)


def emit_group(emit: Emitter, values: Values, number: int, word: Register, base: Register) -> None:
    """Loads into ``word`` the byte that holds eight inputs, or, with a threshold, the eight bytes to compare with it.

    ``base`` points to the values. It is overwritten if fewer than eight bytes are left.
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
    """Replaces the eight bytes in ``word`` by eight bits, by ``threshold``; needs only one other register, ``free``.

    For an even threshold t, x >= t if ``(x >> 1) + 128 - t / 2`` carries into bit 7; then x is not needed again.
    """
    emit.alu(word, ">>=", 1)
    for operator, constant in halved_steps(threshold):
        emit.wide(free, constant)
        emit.alu(word, operator, free)
    emit.alu(word, ">>=", 56)


def halved_steps(threshold: int) -> tuple[tuple[str, int], ...]:
    """Operators and constants between the two shifts of :func:`emit_halved_gather`."""
    return ("&=", 0x7F * _ONES), ("+=", (128 - threshold // 2) * _ONES), ("&=", 0x80 * _ONES), ("*=", _GATHER)


def emit_comparison(emit: Emitter, threshold: int) -> None:
    """Loads the constants of :func:`emit_gather`."""
    emit.wide(_SEVENS, 0x7F * _ONES)
    emit.wide(_ADDED, (128 - threshold if threshold <= 128 else 256 - threshold) * _ONES)
    emit.wide(_TOPS, 0x80 * _ONES)
    emit.wide(_GATHER_IN, _GATHER)


def emit_gather(emit: Emitter, offset: int, *, low: bool) -> None:
    """Writes a byte, ``offset`` bytes behind TO: which bytes of WORD are at least the threshold, which is ``low`` up to 128."""
    emit.mov(_TERM, WORD)
    emit.alu(_TERM, "&=", _SEVENS)
    emit.alu(_TERM, "+=", _ADDED)
    emit.alu(_TERM, "|=" if low else "&=", WORD)
    emit.alu(_TERM, "&=", _TOPS)
    emit.alu(_TERM, "*=", _GATHER_IN)
    emit.alu(_TERM, ">>=", 56)
    emit.store("u8", TO, offset, _TERM)
