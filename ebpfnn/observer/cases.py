"""Writes the cases of a guard: the verdicts at which keys became due. docs/guards.md defines them."""

from __future__ import annotations

from ..abi import CASE, CASES, RECORDED, VERDICT
from ..events.bound import Bound
from ..obj.asm import R0, R1, Register
from .writer import MEMORY, Writer, offset_of

EACH = 1024
"""So many cases are kept of each event on each CPU, if there is room."""
_ROOM = 32 << 20  # bytes of all CPUs
_LEAST = 2  # the next one to be written cannot be read


def kept_each(bound: Bound, cpus: int) -> int:
    """How many cases of each event there is room for on each of ``cpus``: a power of two."""
    size = 8 * (4 + len(bound.names)) + bound.key_bytes
    most = _ROOM // (size * len(bound.events) * cpus)
    return max(_LEAST, min(EACH, 1 << max(0, most.bit_length() - 1)))


def close_case(write: Writer) -> None:
    """There is no case at this event so far."""
    write.store("u32", MEMORY, _member(write, "label"), 0)


def open_case(write: Writer, label: Register) -> None:
    """The key becomes due, by a verdict of ``label``, plus 1."""
    write.store("u32", MEMORY, _member(write, "label"), label)


def reason_of_case(write: Writer, reason: int) -> None:
    """Should there be a case, that is what became of its event."""
    write.store("u32", MEMORY, _member(write, "reason"), reason)


def emit_case(write: Writer, cases: int) -> None:
    """Keeps the case if there is one. Its place is this program's alone, on this CPU, where it handles one event at a time.

    It is counted when it is whole, so that who reads knows which ones are.
    """
    write.note("a case")
    none = write.fresh("none")
    write.load(R1, "u32", MEMORY, _member(write, "label"))
    write.jump_if(R1, "==", 0, none)
    for name in ("margin", "network"):
        write.load(R1, "u32", MEMORY, write.memory.verdict + offset_of(VERDICT, name))
        write.store("u32", MEMORY, _member(write, name), R1)
    write.lookup_index(RECORDED, write.index)
    write.jump_if(R0, "==", 0, none)
    write.load(R1, "u64", R0, 0)
    write.alu(R1, "&=", cases - 1)
    write.alu(R1, "+=", write.index * cases)
    write.update_index(CASES, R1, 0)
    write.lookup_index(RECORDED, write.index)
    write.jump_if(R0, "==", 0, none)
    write.load(R1, "u64", R0, 0)
    write.alu(R1, "+=", 1)
    write.store("u64", R0, 0, R1)
    write.label(none)


def _member(write: Writer, name: str) -> int:
    return write.memory.case + offset_of(CASE, name)
