"""Writes conditions as jumps: to a label if one does not hold."""

from __future__ import annotations

from collections.abc import Sequence

from ..events.bound import BoundCondition, Derived, Source
from ..obj.asm import R1, R2
from .writer import Writer

_FAILS = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def emit_conditions(write: Writer, conditions: Sequence[BoundCondition], otherwise: str) -> None:
    """Goes on if all hold, and else to ``otherwise``. Overwrites R1 and R2."""
    for condition in conditions:
        _emit(write, condition, otherwise)


def _emit(write: Writer, condition: BoundCondition, otherwise: str) -> None:
    operator = condition.operator
    if operator in ("in", "not in"):
        _emit_prefix(write, condition, otherwise)
    elif operator in ("&", "!&"):
        _emit_bits(write, condition, otherwise)
    elif operator == "!=" and len(condition.sources) > 1:
        _emit_unequal(write, condition, otherwise)
    else:
        for source, value in zip(condition.sources, condition.values, strict=True):
            write.load_source(R1, source)
            write.jump(R1, _signed(_FAILS[operator], source), value, otherwise, R2)


def _emit_prefix(write: Writer, condition: BoundCondition, otherwise: str) -> None:
    address, mask = condition.values
    write.load_source(R1, condition.sources[0])
    write.alu32(R1, "&=", mask - (mask >> 31 << 32))
    write.jump(R1, "!=" if condition.operator == "in" else "==", address, otherwise, R2)


def _emit_bits(write: Writer, condition: BoundCondition, otherwise: str) -> None:
    (source,), (value,) = condition.sources, condition.values
    write.load_source(R1, source)
    if condition.operator == "!&":
        write.jump(R1, "&", value, otherwise, R2)
        return
    write.mov(R2, value & (1 << 64) - 1)
    write.alu(R1, "&=", R2)
    write.jump_if(R1, "==", 0, otherwise)


def _emit_unequal(write: Writer, condition: BoundCondition, otherwise: str) -> None:
    """Several fields that must not all be equal to their values."""
    holds = write.fresh("unequal")
    for source, value in zip(condition.sources, condition.values, strict=True):
        write.load_source(R1, source)
        write.jump(R1, "!=", value, holds, R2)
    write.goto(otherwise)
    write.label(holds)


def _signed(operator: str, source: Source) -> str:
    ordered = operator not in ("==", "!=")
    return f"s{operator}" if ordered and not isinstance(source, Derived) and source.signed else operator
