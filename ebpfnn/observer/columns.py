"""Writes the columns: the value that an event has for each, and what the reducer makes of it."""

from __future__ import annotations

from ..errors import ModelError
from ..events.bound import BoundColumn, Derived, Source, Use
from ..events.code import VALUE, ReducerCode
from ..obj.asm import R2, R3
from .conditions import emit_conditions
from .layout import WORDS
from .writer import FIELDS, MEMORY, Writer


def emit_steps(write: Writer) -> None:
    """Updates every column of which the event is one."""
    for column in write.bound.columns:
        use = column.uses.get(write.index)
        if use is not None:
            write.note(f"column {column.name}")
            past = write.fresh("past")
            emit_conditions(write, use.when, past)
            _emit_value(write, column, use)
            column.reducer.emit_step(_code(write, column), column.options)
            write.label(past)


def emit_results(write: Writer) -> None:
    """Writes the results of all columns to the memory."""
    for column in write.bound.columns:
        write.note(f"results of {column.name}")
        column.reducer.emit_read(_code(write, column), column.options)


def _code(write: Writer, column: BoundColumn) -> ReducerCode:
    results = MEMORY, write.memory.results + 8 * column.result
    locked = write.bound.spec.state.locked
    return ReducerCode(write, WORDS + 8 * column.word, (FIELDS, write.time), results, locked=locked)


def _emit_value(write: Writer, column: BoundColumn, use: Use) -> None:
    """``VALUE`` = the field's; 0 if it is negative; shifted; clipped."""
    if not column.reducer.takes_value:
        return
    if use.source is None:
        write.mov(VALUE, 1)
        bits = 1
    else:
        write.load_source(VALUE, use.source)
        bits = _bits(use.source)
        if not isinstance(use.source, Derived) and use.source.signed:
            write.mov(R2, VALUE)
            write.alu(R2, "s>>=", 63)
            write.alu(R2, "^=", -1)
            write.alu(VALUE, "&=", R2)
    if column.shift:
        write.alu(VALUE, ">>=" if column.shift > 0 else "<<=", abs(column.shift))
    bits = max(bits - column.shift, 0)
    if column.clip is not None and column.clip < (1 << bits) - 1:
        _clip(write, column.clip, bits)


def _clip(write: Writer, most: int, bits: int) -> None:
    """Without a branch if it can be: the verifier would walk the reducer twice."""
    if bits > 63:
        below = write.fresh("below")
        write.jump(VALUE, "<=", most, below, R3)
        write.mov(VALUE, most)
        write.label(below)
        return
    write.mov(R3, most)
    write.alu(VALUE, "-=", R3)
    write.mov(R2, VALUE)
    write.alu(R2, "s>>=", 63)
    write.alu(VALUE, "&=", R2)
    write.alu(VALUE, "+=", R3)


def _bits(source: Source) -> int:
    if isinstance(source, Derived):
        return source.bits
    if source.refused:
        raise ModelError(f"field '{source.name}' cannot be used: {source.refused}")
    return 8 * source.size - source.signed
