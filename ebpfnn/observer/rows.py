"""Writes which events give a row, and what is sent: rows, and records of fields."""

from __future__ import annotations

from ..abi import RECORD, ROWS
from ..obj.asm import R0, R1, R2
from .conditions import emit_conditions
from .layout import INFERRED, KEY, NUMBER
from .state import load_since
from .writer import MEMORY, STATE, Writer


def can_choose(write: Writer) -> bool:
    """Whether the event can give a row. It cannot if ``at`` has conditions alone, and the event lacks one of their fields."""
    at = write.bound.spec.at
    return bool(at.always or at.count or at.every or at.after or write.event.when)


def emit_choice(write: Writer, row: str) -> None:
    """Jumps to ``row`` if the event gives a row."""
    at = write.bound.spec.at
    write.note("whether there is a row")
    if at.always:
        write.goto(row)
        return
    if at.count:
        _emit_counts(write, at.count, row)
    if at.every:
        write.load(R1, "u32", STATE, NUMBER)
        if at.every & at.every - 1:
            write.alu(R1, "%=", at.every)
        else:
            write.alu(R1, "&=", at.every - 1)
        write.jump_if(R1, "==", 0, row)
    if write.event.when:  # none for an event that lacks one of the fields: then they never hold
        unlike = write.fresh("unlike")
        emit_conditions(write, write.event.when, unlike)
        write.goto(row)
        write.label(unlike)
    if at.after:
        load_since(write, R1, INFERRED)
        write.jump(R1, ">=", at.after, row, R2)


def _emit_counts(write: Writer, counts: tuple[int, ...], row: str) -> None:
    none = write.fresh("none")
    write.load(R1, "u32", STATE, NUMBER)
    write.jump(R1, ">", max(counts), none, R2)
    for count in counts:
        write.jump(R1, "==", count, row, R2)
    write.label(none)


def emit_row(write: Writer) -> None:
    """Sends the row that lies in the memory."""
    write.note("the row")
    size = RECORD.itemsize + write.bound.key_bytes + 8 * len(write.bound.names)
    _send(write, size)


def emit_record(write: Writer) -> None:
    """Sends the usable fields of the event. They take the place of key and results."""
    write.note("a record of the fields")
    write.head(0)
    for place, field in enumerate(write.event.fields.values()):
        write.load_source(R1, field)
        write.store("u64", MEMORY, KEY + 8 * place, R1)
    _send(write, RECORD.itemsize + 8 * len(write.event.fields))


def _send(write: Writer, size: int) -> None:
    sent = write.fresh("sent")
    write.output(ROWS, 0, size)
    write.jump_if(R0, "==", 0, sent)
    write.count("lost")
    write.label(sent)
