"""The end of a network: the label of the highest score (equation 13)."""

from __future__ import annotations

from ..abi import RESULT
from ..obj.asm import R0, R1, R2, R3, R4, R5, Register
from .emitter import OUTCOME, Emitter, Place


def _offset_of(field: str) -> int:
    """The offset of a field of ``struct ebpfnn_result``, in bytes."""
    fields = RESULT.fields
    return int(fields[field][1]) if fields else 0


SCORES = Place(OUTCOME, _offset_of("scores"))
_LABEL = _offset_of("label")
_CLASS_BITS = 6  # 64 classes
_SIGN, _BASE, _BEST, _KEY, _LESS, MARGIN = R0, R1, R2, R3, R4, R5


def emit_label(emit: Emitter, classes: int, *, second: bool = False) -> None:
    """Writes the label of the scores in the result.

    Score and class are combined in one number, with the class counted down: the largest number belongs to the highest score
    and, of equal scores, to the first class. There is no branch, because the winning class is unpredictable. With ``second``,
    :data:`MARGIN` becomes the difference of the two highest scores.
    """
    emit.note("the label: the highest score, of equals the first")
    emit.point(_BASE, Place(OUTCOME))
    for number in range(classes):
        into = _KEY if number else _BEST
        emit.load(into, "u32", _BASE, SCORES.offset + 4 * number)
        emit.alu(into, "<<=", 32)
        emit.alu(into, "s>>=", 32 - _CLASS_BITS)
        emit.alu(into, "+=", (1 << _CLASS_BITS) - 1 - number)
        if number:
            _raise(emit, _BEST, lowered=second)
        if second and number == 1:
            emit.mov(MARGIN, _KEY)
        elif second and number:
            _raise(emit, MARGIN)
    if second:
        emit.alu(MARGIN, "s>>=", _CLASS_BITS)
        emit.mov(_LESS, _BEST)
        emit.alu(_LESS, "s>>=", _CLASS_BITS)
        emit.alu(_LESS, "-=", MARGIN)
        emit.mov(MARGIN, _LESS)
    emit.alu(_BEST, "&=", (1 << _CLASS_BITS) - 1)
    emit.alu(_BEST, "^=", (1 << _CLASS_BITS) - 1)
    emit.store("u32", _BASE, _LABEL, _BEST)


def _raise(emit: Emitter, highest: Register, *, lowered: bool = False) -> None:
    """``highest`` = the larger of it and the key; if ``lowered``, the key becomes the smaller."""
    emit.mov(_LESS, highest)
    emit.alu(_LESS, "-=", _KEY)
    emit.mov(_SIGN, _LESS)
    emit.alu(_SIGN, "s>>=", 63)
    emit.alu(_LESS, "&=", _SIGN)
    emit.alu(highest, "-=", _LESS)
    if lowered:
        emit.alu(_KEY, "+=", _LESS)
