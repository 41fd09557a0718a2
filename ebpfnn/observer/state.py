"""Finds or makes the state of a key, and brings times, number and derived fields up to the event."""

from __future__ import annotations

from collections.abc import Collection

from ..abi import STATES, VERDICT, VERDICTS
from ..events.bound import Derived
from ..events.spec import LAST_NUMBER
from ..obj.asm import R0, R1, R2, R3, Register
from .layout import FIRST, INFERRED, KEY, LABEL, LAST, LOCK, NUMBER, SIDE, WORDS
from .writer import LOCK as LOCK_HELPER
from .writer import MEMORY, STATE, UNLOCK, Writer, offset_of

_NO_EXIST = 1  # BPF_NOEXIST


def emit_state(write: Writer, *, verdicts: bool) -> None:
    """``STATE`` = the state of the key. Returns from the observer if there is no room for one. Takes its lock if it has one."""
    found = write.fresh("found")
    write.note("the state of the key")
    write.lookup(STATES, KEY)
    write.jump_if(R0, "!=", 0, found)
    write.note("a new state")
    if verdicts:
        _seed(write)
    _make(write)
    write.jump_if(R0, "!=", 0, found)
    write.count("unstored")
    if verdicts:
        write.load(R0, "u32", MEMORY, write.memory.blank + LABEL)
    write.finish(R0 if verdicts else 0)
    write.label(found)
    write.mov(STATE, R0)
    if write.bound.spec.state.locked:
        _lock(write, LOCK_HELPER)


def unlock(write: Writer) -> None:
    """Gives the lock back if there is one."""
    if write.bound.spec.state.locked:
        _lock(write, UNLOCK)


def emit_event(write: Writer, used: Collection[Derived], *, verdicts: bool) -> None:
    """Counts the event in its state, and writes the derived fields that are ``used`` to the memory.

    Returns from the observer, with the latest verdict, if the number is the last one.
    """
    if write.bound.spec.state.idle:
        _emit_idle(write)
    write.note("the event in its state")
    counted = write.fresh("counted")
    write.load(R3, "u32", STATE, NUMBER)
    write.wide(R1, LAST_NUMBER)
    write.jump_if(R3, "!=", R1, counted)
    unlock(write)
    write.count("frozen")
    if verdicts:
        write.load(R0, "u32", STATE, LABEL)
    write.finish(R0 if verdicts else 0)
    write.label(counted)
    write.alu(R3, "+=", 1)
    write.store("u32", STATE, NUMBER, R3)
    if Derived.NUMBER in used:
        write.store("u64", MEMORY, write.memory.derived[Derived.NUMBER], R3)
    for each, since in ((Derived.GAP, LAST), (Derived.AGE, FIRST)):
        if each in used:
            load_since(write, R1, since)
            write.store("u64", MEMORY, write.memory.derived[each], R1)
    if Derived.REPLY in used:
        write.load(R1, "u32", MEMORY, write.memory.side)
        write.load(R2, "u32", STATE, SIDE)
        write.alu(R1, "^=", R2)
        write.store("u64", MEMORY, write.memory.derived[Derived.REPLY], R1)
    write.load_time(R1)
    write.store("u64", STATE, LAST, R1)


def load_since(write: Writer, to: Register, since: int) -> None:
    """``to`` = the time since the one at byte ``since`` of the state, 0 if that is later. Overwrites R2."""
    later = write.fresh("later")
    write.load_time(R2)
    write.load(R0, "u64", STATE, since)
    write.mov(to, 0)
    write.jump_if(R2, "<", R0, later)
    write.alu(R2, "-=", R0)
    write.mov(to, R2)
    write.label(later)


def _seed(write: Writer) -> None:
    """The latest verdict on the key outlives its state."""
    none, seeded = write.fresh("none"), write.fresh("seeded")
    write.lookup(VERDICTS, KEY)
    write.jump_if(R0, "==", 0, none)
    write.load(R1, "u32", R0, offset_of(VERDICT, "label"))
    write.store("u32", MEMORY, write.memory.blank + LABEL, R1)
    write.goto(seeded)
    write.label(none)
    write.store("u32", MEMORY, write.memory.blank + LABEL, 0)
    write.label(seeded)


def _make(write: Writer) -> None:
    """R0 = a new state, or the one that another CPU made meanwhile, or 0. What is blank is complete before others see it."""
    blank, kept = write.memory.blank, write.fresh("kept")
    write.load_time(R1)
    for place in (FIRST, LAST, INFERRED):
        write.store("u64", MEMORY, blank + place, R1)
    if write.bound.spec.key == "flow":
        write.load(R1, "u32", MEMORY, write.memory.side)
        write.store("u32", MEMORY, blank + SIDE, R1)
    write.update(STATES, KEY, blank, _NO_EXIST)
    write.jump_if(R0, "!=", 0, kept)
    write.count("created")
    write.label(kept)
    write.lookup(STATES, KEY)


def _emit_idle(write: Writer) -> None:
    """A state that was idle begins again, and keeps the latest verdict."""
    write.note("a state that was idle")
    awake = write.fresh("awake")
    load_since(write, R1, LAST)
    write.jump(R1, "<", write.bound.spec.state.idle, awake, R2)
    write.load_time(R1)
    for place in (FIRST, LAST, INFERRED):
        write.store("u64", STATE, place, R1)
    write.store("u32", STATE, NUMBER, 0)
    if write.bound.spec.key == "flow":
        write.load(R1, "u32", MEMORY, write.memory.side)
        write.store("u32", STATE, SIDE, R1)
    for word in range(write.bound.words):
        write.store("u64", STATE, WORDS + 8 * word, 0)
    write.count("restarted")
    write.label(awake)


def _lock(write: Writer, helper: int) -> None:
    write.mov(R1, STATE)
    write.alu(R1, "+=", LOCK)
    write.call(helper)
