"""Layers that join the values of others: sums of two (equation 24), and channels side by side (equation 25)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..network.layers import Add, Join, Requantization
from ..obj.asm import R0, R1, R2, R6, R7, R8, R9, Register
from .blocks import Lying, emit_block
from .emitter import Emitter, Place
from .plan import JoinPart, JoinPlan
from .requantize import RECORD, Constants, RequantizePlan, emit_requantize, plan_clips, records
from .values import NO_EDGE, Values

_VALUE, _FREE, _TERM, _RECORD, _OUTPUT = R0, R1, R2, R9, R8
_GIVEN = (R6, R7)
AT_A_TIME = 16
COPIED_AT_A_TIME = 64
_WORDS = ((8, "u64"), (4, "u32"), (2, "u16"), (1, "u8"))
_SIZES = {1: "u8", 4: "u32"}


def plan_requantizes(layer: Join, ranges: tuple[tuple[int, int], ...]) -> tuple[RequantizePlan | None, ...]:
    """How the sums of each part become outputs, None where values are copied; a sum of two is one part.

    Clips are no branches, since there is one for each of many values.
    """
    bias, (lows, highs) = layer.bias.astype(np.int64), np.array(ranges, np.int64).T
    if isinstance(layer, Add):
        ends = layer.factors * np.stack([lows, highs])
        return (plan_clips(layer.requantization, ends.min(0).sum() + bias, ends.max(0).sum() + bias, masked=True),)
    return tuple(
        None
        if layer.keeps(number, low, high)
        else plan_clips(of_one(layer.requantization, number), low + bias[[number]], high + bias[[number]], masked=True)
        for number, (low, high) in enumerate(ranges)
    )


def of_one(by: Requantization, channel: int) -> Requantization:
    """The same for one channel alone."""
    return replace(by, positive=by.positive[[channel]], negative=by.negative[[channel]])


def join_size(plan: RequantizePlan | None) -> int:
    """The approximate number of instructions per value."""
    return 25 if plan else 1


@dataclass(frozen=True)
class _Part:
    """One part of a layer: the values that it is of, and where its outputs go."""

    given: tuple[Values, ...]
    output: Values
    factors: tuple[int, ...]
    bias: NDArray[np.int32]
    plan: JoinPart


def emit_join(emit: Emitter, layer: Join, plan: JoinPlan, given: tuple[Values, ...], output: Values) -> None:
    """Writes the layer's outputs to ``output``, in the plan's form. No register survives."""
    width = plan.output.width
    for number, part in enumerate(_parts(layer, plan, given, output)):
        lying = (*(Lying(values) for values in part.given), Lying(part.output, width))
        emit.note(f"{prod(part.output.shape)} values " + ("become outputs" if part.plan.requantize else "are copied"))
        body = _adding(emit, part, part.plan.requantize, number, width) if part.plan.requantize else _copying(emit)
        for block in part.plan.blocks:
            emit_block(emit, block, lying, body)


def _parts(layer: Join, plan: JoinPlan, given: tuple[Values, ...], output: Values) -> list[_Part]:
    if isinstance(layer, Add):
        alike = tuple(replace(values, shape=output.shape) for values in given)
        return [_Part(alike, output, tuple(map(int, layer.factors)), layer.bias, plan.parts[0])]
    found, gone = [], 0
    image = len(output.shape) == 3
    for number, values in enumerate(given):
        to = replace(output, shape=values.shape, edge=output.edge if image else NO_EDGE, place=output.place.at(gone))
        found.append(_Part((values,), to, (1,), layer.bias[[number]], plan.parts[number]))
        gone += to.bytes
    return found


def _copying(emit: Emitter) -> Callable[[tuple[Place, ...], int], None]:
    def body(places: tuple[Place, ...], columns: int) -> None:
        for register, place in zip((_GIVEN[0], _OUTPUT), places, strict=True):
            emit.point(register, place)

        def turn(count: int) -> None:
            at = 0
            for width, name in _WORDS:
                while count - at >= width:
                    emit.load(_VALUE, name, _GIVEN[0], at)
                    emit.store(name, _OUTPUT, at, _VALUE)
                    at += width
            _advance(emit, (_GIVEN[0], count), (_OUTPUT, count))

        emit.turns(columns, COPIED_AT_A_TIME, _FREE, turn)

    return body


def _adding(
    emit: Emitter, part: _Part, requantize: RequantizePlan, number: int, width: int
) -> Callable[[tuple[Place, ...], int], None]:
    constants = records(requantize.by, part.bias, np.zeros(1, np.int64))
    table = emit.table(f"constants{number}" if number else "constants", constants)
    known = int(constants[0, 1]), int(constants[0, 2])

    def body(places: tuple[Place, ...], columns: int) -> None:
        pointers = (*_GIVEN[: len(part.given)], _OUTPUT)
        for register, place in zip(pointers, places, strict=True):
            emit.point(register, place)
        emit.map_value(_RECORD, table, 0)

        def turn(count: int) -> None:
            for at in range(count):
                _emit_sum(emit, part, at)
                emit_requantize(emit, requantize, _VALUE, Constants(_RECORD, 0, known), (_FREE,))
                emit.store(_SIZES[width], _OUTPUT, width * at, _VALUE)
            _advance(emit, *((register, count) for register in pointers[:-1]), (_OUTPUT, width * count))

        emit.turns(columns, AT_A_TIME, _FREE, turn)

    return body


def _emit_sum(emit: Emitter, part: _Part, at: int) -> None:
    """The value becomes the sum of what is ``at`` the pointers, each by its factor."""
    for number, (values, factor) in enumerate(zip(part.given, part.factors, strict=True)):
        into = _TERM if number else _VALUE
        values.load(emit, into, _GIVEN[number], at)
        if factor != 1:
            emit.alu(into, "*=", factor)
        if number:
            emit.alu(_VALUE, "+=", into)


def _advance(emit: Emitter, *moved: tuple[Register, int]) -> None:
    for register, step in moved:
        emit.alu(register, "+=", step)


def table_bytes(plan: JoinPlan) -> int:
    """Bytes of the constants."""
    return RECORD * sum(part.requantize is not None for part in plan.parts)
