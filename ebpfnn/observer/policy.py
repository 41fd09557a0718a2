"""Writes what a policy decides at an event. docs/guards.md defines every step."""

from __future__ import annotations

from collections.abc import Sequence

from ..abi import ACT, ACTED, ACTIONS, CONTROL, CONTROLLED, COUNT, GUARDED, KEPT, REASONS, VERDICT, WINDOW, WINDOWED
from ..events.bound import BoundCondition
from ..events.policy import Policy
from ..obj.asm import R0, R1, R2, R3, R4, R5
from .cases import close_case, emit_case, open_case, reason_of_case
from .conditions import emit_conditions
from .layout import KEY, LABEL
from .writer import COUNTS, MEMORY, STATE, Writer, offset_of

WINDOW_SHIFT = 30
"""A window is 2^30 ns."""
_WHOLE_SHIFT = 16


def emit_allowed(write: Writer, allowed: Sequence[Sequence[BoundCondition]]) -> None:
    """Returns from the observer if all conditions of one entry hold."""
    if not allowed:
        return
    write.note("the allow-list")
    found, goes_on = write.fresh("allowed"), write.fresh("on")
    for entry in allowed:
        following = write.fresh("entry")
        emit_conditions(write, entry, following)
        write.goto(found)
        write.label(following)
    write.goto(goes_on)
    write.label(found)
    _count(write, "allowed", 0)
    write.finish(0)
    write.label(goes_on)


def emit_decision(write: Writer, policy: Policy, cases: int) -> None:
    """Writes to the memory whether the event is acted on: ``EBPFNN_ACT`` or 0. Keeps R6 to R9.

    ``cases`` are kept; 0 says that no verdict may have been given at this event.
    """
    write.note("the policy")
    done, due = write.fresh("decided"), write.fresh("due")
    write.store("u64", MEMORY, write.memory.act, 0)
    if cases:
        close_case(write)
        _emit_verdict(write, policy)
    write.load(R1, "u32", STATE, LABEL)
    for label in (0, policy.spared + 1):
        write.jump_if(R1, "==", label, done)
    write.lookup(GUARDED, KEY)
    write.jump_if(R0, "==", 0, done)
    write.load(R2, "u64", R0, offset_of(KEPT, "until_ns"))
    write.load_time(R3)
    write.jump_if(R3, ">=", R2, done)
    _emit_due(write, policy, due, done)
    write.label(due)
    if cases:
        emit_case(write, cases)
    write.label(done)


def _emit_verdict(write: Writer, policy: Policy) -> None:
    """What the verdict of this event, if there is one, changes of what is kept of its key."""
    memory, done, counts = write.memory, write.fresh("kept"), write.fresh("counts")
    write.load(R1, "u32", MEMORY, memory.verdict + offset_of(VERDICT, "label"))
    write.jump_if(R1, "==", 0, done)  # the network failed
    write.lookup(GUARDED, KEY)
    write.load(R1, "u32", MEMORY, memory.verdict + offset_of(VERDICT, "label"))
    write.load(R2, "u32", MEMORY, memory.verdict + offset_of(VERDICT, "margin"))
    weak = write.fresh("weak")
    write.jump_if(R1, "==", policy.spared + 1, weak)
    write.jump(R2, ">=", policy.margin, counts, R3)
    write.label(weak)
    write.jump_if(R0, "==", 0, done)
    write.store("u32", R0, offset_of(KEPT, "streak"), 0)
    write.jump_if(R1, "!=", policy.spared + 1, done)
    write.store("u64", R0, offset_of(KEPT, "until_ns"), 0)
    write.goto(done)
    write.label(counts)
    _emit_counted(write, policy)
    write.label(done)


def _emit_counted(write: Writer, policy: Policy) -> None:
    """R0 is what is kept of the key, or 0; R1 the label plus 1. A verdict in a row more."""
    first, enough, kept = write.fresh("first"), write.fresh("enough"), write.fresh("counted")
    write.jump_if(R0, "==", 0, first)
    write.store("u32", R0, offset_of(KEPT, "label"), R1)
    write.load(R2, "u32", R0, offset_of(KEPT, "streak"))
    write.jump_if(R2, ">=", policy.after - 1, enough)
    write.alu(R2, "+=", 1)
    write.store("u32", R0, offset_of(KEPT, "streak"), R2)
    write.goto(kept)
    write.label(enough)
    write.store("u32", R0, offset_of(KEPT, "streak"), policy.after)
    write.load(R2, "u64", R0, offset_of(KEPT, "until_ns"))
    _until(write, policy)
    write.store("u64", R0, offset_of(KEPT, "until_ns"), R3)
    write.load_time(R3)
    write.jump_if(R2, ">", R3, kept)
    open_case(write, R1)
    write.goto(kept)
    write.label(first)
    new = write.memory.kept
    write.mov(R3, 0)
    if policy.after == 1:
        open_case(write, R1)
        _until(write, policy)
    write.store("u64", MEMORY, new + offset_of(KEPT, "until_ns"), R3)
    write.store("u32", MEMORY, new + offset_of(KEPT, "streak"), 1)
    write.store("u32", MEMORY, new + offset_of(KEPT, "label"), R1)
    write.update(GUARDED, KEY, new)
    write.label(kept)


def _until(write: Writer, policy: Policy) -> None:
    """R3 = until when events of the key are acted on."""
    write.wide(R4, policy.lasting)
    write.load_time(R3)
    write.alu(R3, "+=", R4)


def _emit_due(write: Writer, policy: Policy, due: str, done: str) -> None:
    """The event is due: acted on unless a brake holds. The first that holds is counted. Jumps to ``due``, or goes on there."""
    going, on = write.fresh("going"), write.fresh("on")
    _emit_cap(write, policy, due, done)
    write.map_value(R1, CONTROL)
    write.load(R2, "u64", R1, offset_of(CONTROLLED, "paused"))
    write.jump_if(R2, "==", 0, going)
    _count(write, "paused", None)
    write.goto(due)
    write.label(going)
    write.load(R2, "u64", R1, offset_of(CONTROLLED, "until_ns"))
    write.load_time(R3)
    write.jump_if(R3, "<", R2, on)
    _count(write, "audited", None)
    write.goto(due)
    write.label(on)
    _count(write, "acted", None)
    write.store("u64", MEMORY, write.memory.act, ACT)


def _emit_cap(write: Writer, policy: Policy, due: str, done: str) -> None:
    """Goes on if the share of the events of this window that are due is within the cap."""
    same, within = write.fresh("same"), write.fresh("within")
    write.lookup_index(WINDOW)
    write.jump_if(R0, "==", 0, done)
    write.load_time(R2)
    write.alu(R2, ">>=", WINDOW_SHIFT)
    write.load(R3, "u64", R0, offset_of(WINDOWED, "number"))
    write.load(R4, "u64", COUNTS, offset_of(COUNT, "observed"))
    write.jump_if(R2, "==", R3, same)
    write.store("u64", R0, offset_of(WINDOWED, "number"), R2)
    write.mov(R3, R4)
    write.alu(R3, "-=", 1)
    write.store("u64", R0, offset_of(WINDOWED, "base"), R3)
    write.store("u64", R0, offset_of(WINDOWED, "acted"), 0)
    write.label(same)
    write.load(R3, "u64", R0, offset_of(WINDOWED, "base"))
    write.alu(R4, "-=", R3)
    write.alu(R4, "*=", policy.parts)
    write.load(R5, "u64", R0, offset_of(WINDOWED, "acted"))
    write.mov(R3, R5)
    write.alu(R3, "<<=", _WHOLE_SHIFT)
    write.jump_if(R3, "<", R4, within)
    _count(write, "capped", None)
    write.goto(due)
    write.label(within)
    write.alu(R5, "+=", 1)
    write.store("u64", R0, offset_of(WINDOWED, "acted"), R5)


def _count(write: Writer, reason: str, index: int | None) -> None:
    """Adds 1 to a member of ``struct ebpfnn_acted``: element ``index``, or that of the label (plus 1) of the state."""
    missing = write.fresh("missing")
    if index is None:
        reason_of_case(write, REASONS.index(reason))
        write.load(R1, "u32", STATE, LABEL)
    write.lookup_index(ACTIONS, R1 if index is None else index)
    write.jump_if(R0, "==", 0, missing)
    write.load(R1, "u64", R0, offset_of(ACTED, reason))
    write.alu(R1, "+=", 1)
    write.store("u64", R0, offset_of(ACTED, reason), R1)
    write.label(missing)
