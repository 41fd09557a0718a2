"""The error of a reconstruction: the sum of squared differences of two values (equation 28).

A piece of the values is summed in a register, and the pieces in the score itself.
"""

from __future__ import annotations

from dataclasses import replace

from ..obj.asm import R0, R1, R2, R6, R7, R8
from .blocks import Lying, emit_block
from .emitter import Emitter, Place
from .plan import ErrorPlan
from .scores import SCORES
from .values import Values

_VALUE, _SCORE, _OTHER, _SUM = R0, R1, R2, R8
_GIVEN = (R6, R7)
AT_A_TIME = 16
EACH = 5
"""Instructions for a value; one of an s8 that is no single load takes two more."""


def emit_error(emit: Emitter, plan: ErrorPlan, given: tuple[Values, ...]) -> None:
    """Writes the score. No register survives."""
    shape = next((values.shape for values in given if len(values.shape) > 1), given[0].shape)
    alike = tuple(replace(values, shape=shape) for values in given)
    emit.note(f"the squared differences of {given[0].size} values")
    emit.point(_SCORE, SCORES)
    emit.mov(_VALUE, 0)
    emit.store("u32", _SCORE, 0, _VALUE)

    def body(places: tuple[Place, ...], columns: int) -> None:
        for register, place in zip(_GIVEN, places, strict=True):
            emit.point(register, place)
        emit.mov(_SUM, 0)
        emit.turns(columns, AT_A_TIME, _OTHER, turn)
        emit.point(_SCORE, SCORES)
        emit.load(_VALUE, "u32", _SCORE)
        emit.alu(_VALUE, "+=", _SUM)
        emit.store("u32", _SCORE, 0, _VALUE)

    def turn(count: int) -> None:
        for at in range(count):
            for values, register, into in zip(alike, _GIVEN, (_VALUE, _OTHER), strict=True):
                values.load(emit, into, register, at)
            emit.alu(_VALUE, "-=", _OTHER)
            emit.alu(_VALUE, "*=", _VALUE)
            emit.alu(_SUM, "+=", _VALUE)
        for register in _GIVEN:
            emit.alu(register, "+=", count)

    for block in plan.blocks:
        emit_block(emit, block, tuple(Lying(values) for values in alike), body)
