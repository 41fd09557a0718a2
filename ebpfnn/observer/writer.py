"""What every part of the compiler of specs writes with: an assembler that knows where the observer keeps things."""

from __future__ import annotations

from ..abi import COUNT, RECORD
from ..errors import ModelError
from ..events.bound import Bound, BoundEvent, Derived, Source
from ..events.fields import Field, Place
from ..obj import MapType
from ..obj.asm import R0, R1, R2, R3, R4, R6, R7, R8, R9, R10, Assembler, Register
from .layout import Memory

MEMORY, FIELDS, CONTEXT, COUNTS, STATE = R6, R7, R8, R8, R9
"""Registers of the observer: memory, fields; the program's context until that was copied, then the counts; the state."""
LOOKUP, UPDATE, DELETE, NOW, LOCK, UNLOCK, RING_OUTPUT = 1, 2, 3, 5, 93, 94, 130
"""Helpers of the kernel (enum bpf_func_id)."""
WORD = (1 << 64) - 1
_INDEX = -8  # the stack slot of an array map's index
_ANY = 0

__all__ = ["CONTEXT", "COUNTS", "FIELDS", "LOOKUP", "MEMORY", "STATE", "WORD", "MapType", "Writer"]


class Writer(Assembler):
    """An assembler for one event of a spec. ``notes`` explain the instructions from an index on."""

    def __init__(self, bound: Bound, index: int, memory: Memory) -> None:
        super().__init__()
        self.bound, self.index, self.memory = bound, index, memory
        self.event: BoundEvent = bound.events[index]
        self.notes: list[tuple[int, str]] = []
        self.time = self._time()

    def note(self, text: str) -> None:
        self.notes.append((len(self), text))

    def _time(self) -> int:
        field = self.event.fields.get("time")
        if field is None or (field.size, field.place) != (8, Place.FIELDS):
            fact = f"event '{self.event.name}' has no field 'time' of 64 bits"
            raise ModelError(f"spec '{self.bound.spec.name}': {fact}; its shell must give one: __u64 time = ebpfnn_now()")
        return field.offset

    # Numbers

    def load_time(self, to: Register) -> None:
        self.load(to, "u64", FIELDS, self.time)

    def load_field(self, to: Register, field: Field, base: Register, offset: int) -> None:
        """``to`` = the value at ``base + offset``, extended to 64 bits."""
        self.load(to, f"u{8 * field.size}", base, offset)
        if field.signed and field.size < 8:
            self.alu(to, "<<=", 64 - 8 * field.size)
            self.alu(to, "s>>=", 64 - 8 * field.size)

    def load_source(self, to: Register, source: Source) -> None:
        """``to`` = a field or a derived field of this event, extended to 64 bits."""
        if isinstance(source, Derived):
            self.load(to, "u64", MEMORY, self.memory.derived[source])
        elif source.place is Place.CONTEXT:
            self.load(to, "u64", MEMORY, self.memory.context[source])
        else:
            self.load_field(to, source, FIELDS, source.offset)

    def jump(self, left: Register, condition: str, value: int, label: str, spare: Register) -> None:
        """Jumps if ``left condition value`` holds. A value that fits no instruction goes through ``spare``."""
        signed = value - (1 << 64) if value >> 63 == 1 else value
        if -(1 << 31) <= signed < 1 << 31:
            self.jump_if(left, condition, signed, label)
        else:
            self.wide(spare, value)
            self.jump_if(left, condition, spare, label)

    def subtract(self, dst: Register, value: int, spare: Register) -> None:
        """``dst -= value``."""
        if -(1 << 31) <= value < 1 << 31:
            self.alu(dst, "-=", value)
        else:
            self.wide(spare, value)
            self.alu(dst, "-=", spare)

    # Memory and maps

    def point(self, to: Register, offset: int) -> None:
        """``to`` = the address of byte ``offset`` of the memory."""
        self.mov(to, MEMORY)
        self.alu(to, "+=", offset)

    def lookup(self, name: str, key: int) -> None:
        """R0 = the value of the map ``name`` for the key at byte ``key`` of the memory, or 0."""
        self.map(R1, name)
        self.point(R2, key)
        self.call(LOOKUP)

    def lookup_index(self, name: str, index: Register | int = 0) -> None:
        """R0 = element number ``index`` of an array map, or 0."""
        self.store("u32", R10, _INDEX, index)
        self.map(R1, name)
        self.mov(R2, R10)
        self.alu(R2, "+=", _INDEX)
        self.call(LOOKUP)

    def update(self, name: str, key: int, value: int, flags: int = _ANY) -> None:
        """Writes the ``value`` for ``key``, both bytes of the memory, into a map. R0 is not 0 if that fails."""
        self.map(R1, name)
        self.point(R2, key)
        self.point(R3, value)
        self.mov(R4, flags)
        self.call(UPDATE)

    def update_index(self, name: str, index: Register, value: int) -> None:
        """Writes the ``value``, bytes of the memory, to element number ``index`` of an array map."""
        self.store("u32", R10, _INDEX, index)
        self.map(R1, name)
        self.mov(R2, R10)
        self.alu(R2, "+=", _INDEX)
        self.point(R3, value)
        self.mov(R4, _ANY)
        self.call(UPDATE)

    def delete(self, name: str, key: int) -> None:
        self.map(R1, name)
        self.point(R2, key)
        self.call(DELETE)

    def output(self, name: str, offset: int, size: int) -> None:
        """Sends ``size`` bytes of the memory through a ring buffer. R0 is not 0 if that is full."""
        self.map(R1, name)
        self.point(R2, offset)
        self.mov(R3, size)
        self.mov(R4, 0)
        self.call(RING_OUTPUT)

    def count(self, name: str, spare: Register = R1) -> None:
        """Adds 1 to a member of the event's ``struct ebpfnn_counts``, which only this program on this CPU changes."""
        self.load(spare, "u64", COUNTS, offset_of(COUNT, name))
        self.alu(spare, "+=", 1)
        self.store("u64", COUNTS, offset_of(COUNT, name), spare)

    def head(self, number: Register | int) -> None:
        """Writes the head of a record. Overwrites R2."""
        self.store("u32", MEMORY, offset_of(RECORD, "event"), self.index)
        self.store("u32", MEMORY, offset_of(RECORD, "number"), number)
        self.load_time(R2)
        self.store("u64", MEMORY, offset_of(RECORD, "time_ns"), R2)

    def finish(self, value: Register | int) -> None:
        """Returns ``value``."""
        if value is not R0:
            self.mov(R0, value)
        self.exit()


def offset_of(layout: object, name: str) -> int:
    """The offset of a member of a numpy structure."""
    fields = getattr(layout, "fields", None) or {}
    at: int = fields[name][1]
    return at
