"""The end of a network: the label of the highest score (equation 13)."""

from __future__ import annotations

from ..abi import RESULT
from ..obj.asm import R0, R1, R2, R3, R4
from .emitter import OUTCOME, Emitter, Place


def _offset_of(field: str) -> int:
    """The offset of a field of ``struct ebpfnn_result``, in bytes."""
    fields = RESULT.fields
    return int(fields[field][1]) if fields else 0


SCORES = Place(OUTCOME, _offset_of("scores"))
_LABEL = _offset_of("label")
_CLASS_BITS = 6  # 64 classes


def emit_label(emit: Emitter, classes: int) -> None:
    """Writes the label of the scores in the result.

    Score and class are combined in one number, with the class counted down: the largest number belongs to the highest score
    and, of equal scores, to the first class. There is no branch, because the winning class is unpredictable.
    """
    emit.note("the label: the highest score, of equals the first")
    base, best, key, less = R1, R2, R3, R4
    emit.point(base, Place(OUTCOME))
    for number in range(classes):
        into = key if number else best
        emit.load(into, "u32", base, SCORES.offset + 4 * number)
        emit.alu(into, "<<=", 32)
        emit.alu(into, "s>>=", 32 - _CLASS_BITS)
        emit.alu(into, "+=", (1 << _CLASS_BITS) - 1 - number)
        if number:
            emit.mov(less, best)
            emit.alu(less, "-=", key)
            emit.mov(R0, less)
            emit.alu(R0, "s>>=", 63)
            emit.alu(less, "&=", R0)
            emit.alu(best, "-=", less)
    emit.alu(best, "&=", (1 << _CLASS_BITS) - 1)
    emit.alu(best, "^=", (1 << _CLASS_BITS) - 1)
    emit.store("u32", base, _LABEL, best)
