"""The end of a network: the label of the highest score (equation 13)."""

from __future__ import annotations

from ..abi import RESULT
from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, Register
from .emitter import OUTCOME, Emitter, Place


def _offset_of(field: str) -> int:
    """The offset of a field of ``struct ebpfnn_result``, in bytes."""
    fields = RESULT.fields
    return int(fields[field][1]) if fields else 0


SCORES = Place(OUTCOME, _offset_of("scores"))
_LABEL = _offset_of("label")
_CLASS_BITS = 6  # 64 classes
_SIGN, _BASE, _BEST, _KEY, _LESS, MARGIN = R0, R1, R2, R3, R4, R5
SCORE = R7
"""Where :class:`Leaders` takes scores; it leaves alone the registers before r3, and r9."""
MOST_WORDS = 3
"""The most words of scores that it leaves registers for."""
_LEADERS, _FREE, _FREER = (R3, R4), R6, R8


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


class Leaders:
    """Finds the label while scores are still in registers, one after the other in :data:`SCORE`: no load, no second pass.

    The leader of every other class is in a register of its own, since each comparison waits for the one before it. With
    ``second``, :data:`MARGIN` becomes what it is for :func:`emit_label`, and there is one leader.
    """

    def __init__(self, emit: Emitter, *, second: bool) -> None:
        self._emit, self._second, self._classes = emit, second, 0

    def see(self) -> None:
        """The score is that of the next class. Overwrites it."""
        emit, number = self._emit, self._classes
        self._classes += 1
        emit.alu(SCORE, "<<=", _CLASS_BITS)
        emit.alu(SCORE, "+=", (1 << _CLASS_BITS) - 1 - number)
        leaders = _LEADERS[:1] if self._second else _LEADERS
        mine = leaders[number % len(leaders)]
        if number < len(leaders):
            emit.mov(mine, SCORE)
        elif not self._second:
            _lead(emit, mine)
        elif number == 1:
            _lead(emit, mine, MARGIN)
        else:
            _lead(emit, mine, SCORE)
            _lead(emit, MARGIN)

    def finish(self) -> None:
        """Writes the label. Overwrites all registers but MARGIN."""
        emit, best = self._emit, _LEADERS[0]
        if self._second:
            emit.alu(MARGIN, "s>>=", _CLASS_BITS)
            emit.mov(SCORE, best)
            emit.alu(SCORE, "s>>=", _CLASS_BITS)
            emit.alu(SCORE, "-=", MARGIN)
            emit.mov(MARGIN, SCORE)
        elif self._classes > 1:
            emit.mov(SCORE, _LEADERS[1])
            _lead(emit, best)
        emit.alu(best, "&=", (1 << _CLASS_BITS) - 1)
        emit.alu(best, "^=", (1 << _CLASS_BITS) - 1)
        emit.point(_FREE, Place(OUTCOME))
        emit.store("u32", _FREE, _LABEL, best)


def _lead(emit: Emitter, highest: Register, lower: Register | None = None) -> None:
    """``highest`` = the larger of it and the key in :data:`SCORE`; ``lower`` = the other, if it is asked for."""
    emit.mov(_FREE, highest)
    emit.alu(_FREE, "-=", SCORE)
    emit.mov(_FREER, _FREE)
    emit.alu(_FREER, "s>>=", 63)
    emit.alu(_FREE, "&=", _FREER)  # how far it is below the key, or 0
    emit.alu(highest, "-=", _FREE)
    if lower is not None:
        if lower != SCORE:
            emit.mov(lower, SCORE)
        emit.alu(lower, "+=", _FREE)
