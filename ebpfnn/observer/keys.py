"""Writes the key of an event into the memory. docs/events.md defines its bytes."""

from __future__ import annotations

from ..errors import ModelError
from ..events.bound import Derived
from ..events.fields import Field
from ..obj.asm import R0, R1, R2, R3, R4, R5, Register
from .layout import KEY
from .writer import FIELDS, MEMORY, Writer

_MAPPED = 0xFFFF << 32  # the last 64 bits of an IPv4-mapped address, the address left out (RFC 4291, 2.5.5.2)
_NEEDED = {
    "source": ("source", "source_high", "source_low", "version"),
    "destination": ("destination", "destination_high", "destination_low", "version"),
}
_PORTS = ("source_port", "destination_port", "protocol")


def emit_key(write: Writer) -> None:
    """No register of a call survives."""
    key = write.bound.spec.key
    if not isinstance(key, str):
        _emit_list(write)
    elif key in _NEEDED:
        _emit_address(write, key, R1, R2)
        _store_end(write, 0, R1, R2)
    elif key == "flow.directed":
        for place, end in enumerate(_NEEDED):
            _emit_address(write, end, R1, R2)
            _store_end(write, place, R1, R2)
        _emit_ports(write, "source_port", "destination_port")
    else:
        _emit_flow(write)


def _field(write: Writer, name: str) -> Field:
    found = write.event.fields.get(name)
    if found is None:
        fact = f"event '{write.event.name}' has no field '{name}', which the key '{write.bound.spec.key}' consists of"
        raise ModelError(f"spec '{write.bound.spec.name}': {fact}; use a list of its fields as the key")
    return found


def _version(write: Writer) -> int | None:
    """The version of IP if the conditions allow just one."""
    for condition in write.event.where:
        source = condition.sources[0]
        named = not isinstance(source, Derived) and source == write.event.fields.get("version")
        if named and condition.operator == "==":
            return condition.values[0]
    return None


def _emit_address(write: Writer, end: str, low: Register, high: Register) -> None:
    """``low`` and ``high`` = the last and the first 64 bits of an address, 0 without one."""
    narrow, first, last, version = (_field(write, name) for name in _NEEDED[end])
    known = _version(write)
    if known == 4:
        _emit_mapped(write, narrow, low, high)
        return
    mapped, done = write.fresh("mapped"), write.fresh("address")
    write.load_source(R0, version)
    write.jump_if(R0, "==", 4, mapped)
    write.load_source(low, last)
    write.load_source(high, first)
    write.jump_if(R0, "==", 6, done)
    write.mov(low, 0)
    write.mov(high, 0)
    write.goto(done)
    write.label(mapped)
    _emit_mapped(write, narrow, low, high)
    write.label(done)


def _emit_mapped(write: Writer, address: Field, low: Register, high: Register) -> None:
    write.load_source(low, address)
    write.wide(high, _MAPPED)
    write.alu(low, "|=", high)
    write.mov(high, 0)


def _store_end(write: Writer, place: int, low: Register, high: Register) -> None:
    write.store("u64", MEMORY, KEY + 16 * place, low)
    write.store("u64", MEMORY, KEY + 16 * place + 8, high)


def _emit_ports(write: Writer, first: str, second: str) -> None:
    """The last word of a key: two ports, the protocol and three zero bytes."""
    ports = [_field(write, name) for name in (first, second, _PORTS[2])]
    write.load_source(R1, ports[0])
    write.load_source(R2, ports[1])
    write.load_source(R3, ports[2])
    write.alu(R2, "<<=", 16)
    write.alu(R1, "|=", R2)
    write.alu(R3, "<<=", 32)
    write.alu(R1, "|=", R3)
    write.store("u64", MEMORY, KEY + 32, R1)


def _emit_flow(write: Writer) -> None:
    """The lower end first; which end the event comes from goes to the memory."""
    swapped, done = write.fresh("swapped"), write.fresh("flow")
    _emit_address(write, "source", R1, R2)
    _emit_address(write, "destination", R3, R4)
    _compare_ends(write, swapped)
    write.store("u64", MEMORY, write.memory.side, 0)
    _store_end(write, 0, R1, R2)
    _store_end(write, 1, R3, R4)
    _emit_ports(write, "source_port", "destination_port")
    write.goto(done)
    write.label(swapped)
    write.store("u64", MEMORY, write.memory.side, 1)
    _store_end(write, 0, R3, R4)
    _store_end(write, 1, R1, R2)
    _emit_ports(write, "destination_port", "source_port")
    write.label(done)


def _compare_ends(write: Writer, swapped: str) -> None:
    """Jumps if the source (R1, R2) is the higher end."""
    straight = write.fresh("straight")
    if _version(write) != 4:
        write.jump_if(R2, ">", R4, swapped)
        write.jump_if(R2, "<", R4, straight)
    write.jump_if(R1, ">", R3, swapped)
    write.jump_if(R1, "<", R3, straight)
    write.load_source(R0, _field(write, "source_port"))
    write.load_source(R5, _field(write, "destination_port"))
    write.jump_if(R0, ">", R5, swapped)
    write.label(straight)


def _emit_list(write: Writer) -> None:
    """Fields one after another, put together in words: none needs to lie at a multiple of its size."""
    at, word = 0, 0
    write.mov(R1, 0)
    for field in write.event.key:
        bits = 8 * field.size
        _load_unsigned(write, R2, field)
        room = 64 - at % 64
        write.mov(R3, R2)
        if at % 64:
            write.alu(R2, "<<=", at % 64)
        write.alu(R1, "|=", R2)
        if bits >= room:
            write.store("u64", MEMORY, KEY + 8 * word, R1)
            word += 1
            write.mov(R1, 0)
            if bits > room:
                write.alu(R3, ">>=", room)
                write.mov(R1, R3)
        at += bits
    if at % 64:
        write.store("u64", MEMORY, KEY + 8 * word, R1)


def _load_unsigned(write: Writer, to: Register, field: Field) -> None:
    """The bytes of a field, the sign not extended."""
    if field in write.memory.context:
        write.load(to, f"u{8 * field.size}", MEMORY, write.memory.context[field])  # its lowest bytes come first
    else:
        write.load(to, f"u{8 * field.size}", FIELDS, field.offset)
