"""Fields from the kernel's types (BTF): the arguments of raw tracepoints and of functions.

Where a program finds them: a raw tracepoint and fentry provide an array of u64 (``bpf_trace_run``, ``bpf_trampoline``). A
kprobe provides the registers (``struct pt_regs``); the procedure call standard of the machine says which of them hold the
arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import NotSupported
from ..obj import Btf, Kind
from .fields import Field, Place, integer_type

_WORD = 8
_MOST_ARGUMENTS = 12  # MAX_BPF_FUNC_ARGS (include/linux/bpf.h); the kernel refuses to trace functions with more
# Offsets into struct pt_regs (arch/*/include/uapi/asm/ptrace.h): of the arguments in order, and of the return value.
_REGISTERS = {
    "x86_64": ((112, 104, 96, 88, 72, 64), 80),
    "aarch64": (tuple(range(0, 64, 8)), 0),
}
_RETURNED = "returned"
_REFERRING = (Kind.PTR, Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG)
_TAGS = {Kind.STRUCT: "struct ", Kind.FWD: "struct ", Kind.UNION: "union ", Kind.ENUM: "enum ", Kind.ENUM64: "enum "}
_DEEPEST = 32  # pointers and qualifiers, as in MAX_RESOLVE_DEPTH (kernel/bpf/btf.c)


def raw_tracepoint_fields(btf: Btf, event: str) -> tuple[Field, ...] | None:
    """The arguments of a tracepoint. None if ``btf`` does not have it."""
    typedef = btf.find(f"btf_trace_{event}", Kind.TYPEDEF)
    if typedef is None:
        return None
    parameters = btf.parameters(_function_type(btf, btf[typedef].reference))
    names = _names(btf, event, len(parameters))
    placed = [(name, kind) for name, (_, kind) in zip(names, parameters, strict=True)]
    return tuple(_array(btf, placed[1:]))  # the first one is internal to the kernel, and programs do not get it


def function_fields(btf: Btf, function: str, *, leaving: bool = False) -> tuple[Field, ...] | None:
    """The arguments of a function for fentry, and with ``leaving`` the return value. None if there is no such function."""
    prototype = _prototype(btf, function)
    if prototype is None:
        return None
    parameters = btf.parameters(prototype)
    if leaving and btf[prototype].reference:
        parameters = [*parameters, (_RETURNED, btf[prototype].reference)]
    return tuple(_array(btf, parameters))


def probe_fields(btf: Btf, function: str, machine: str, *, leaving: bool = False) -> tuple[Field, ...] | None:
    """As :func:`function_fields`, for a kprobe: in registers. At the return, only the return value is available.

    Raises :class:`~ebpfnn.errors.NotSupported` for a ``machine`` (``platform.machine()``) whose registers are not known.
    """
    prototype = _prototype(btf, function)
    if prototype is None:
        return None
    if machine not in _REGISTERS:
        raise NotSupported(f"kprobe '{function}': the registers of {machine} are not known; use trigger fentry")
    registers, result = _REGISTERS[machine]
    if leaving:
        returned = btf[prototype].reference
        return (_field(btf, _RETURNED, returned, result),) if returned else ()
    return tuple(_in_registers(btf, btf.parameters(prototype), registers))


def _in_registers(btf: Btf, parameters: Sequence[tuple[str, int]], registers: Sequence[int]) -> Iterator[Field]:
    for number, (name, kind) in enumerate(parameters):
        if not kind:
            return  # a variable number of arguments
        label = name or f"argument{number}"
        if number >= len(registers) or integer_type(btf, kind) is None:
            yield Field(label, 0, 0, signed=False, place=Place.CONTEXT, refused="not readable: not in a register of its own")
            if number < len(registers):
                return  # the machine's standard defines how many registers a struct takes
        else:
            yield _field(btf, label, kind, registers[number])


def _array(btf: Btf, parameters: Sequence[tuple[str, int]]) -> Iterator[Field]:
    """Consecutive arguments, each in as many words as it takes."""
    offset = 0
    for number, (name, kind) in enumerate(parameters[: _MOST_ARGUMENTS + 1]):
        if not kind:
            return
        yield _field(btf, name or f"argument{number}", kind, offset)
        offset += -(-btf.size_of(kind) // _WORD) * _WORD


def _field(btf: Btf, name: str, kind: int, offset: int) -> Field:
    found = integer_type(btf, kind)
    told = _spelled(btf, kind)
    if found is None:
        return Field(name, offset, 0, signed=False, help=told, place=Place.CONTEXT, refused="not an integer: a struct")
    size, signed = found
    unit = "address" if btf[btf.resolve(kind)].kind is Kind.PTR else ""
    return Field(name, offset, size, signed, unit, told, Place.CONTEXT)


def _spelled(btf: Btf, kind: int) -> str:
    """A type in C notation, without qualifiers."""
    stars, found = "", btf[kind]
    for _ in range(_DEEPEST):
        if found.kind not in _REFERRING:
            break
        stars += "*" * (found.kind is Kind.PTR)
        found = btf[found.reference]
    if found.kind is Kind.FUNC_PROTO:
        return "a function's address"
    name = _TAGS.get(found.kind, "") + (found.name or ("void" if found.kind is Kind.VOID else "without a name"))
    return f"{name} {stars}".rstrip()


def _names(btf: Btf, event: str, count: int) -> list[str]:
    """The names of a tracepoint's arguments, from the function that runs its programs. "" if unknown."""
    for function in (f"__traceiter_{event}", f"__bpf_trace_{event}"):
        prototype = _prototype(btf, function)
        if prototype is not None and len(found := btf.parameters(prototype)) == count:
            return [name for name, _ in found]
    return [""] * count


def _prototype(btf: Btf, function: str) -> int | None:
    found = btf.find(function, Kind.FUNC)
    return None if found is None else btf[found].reference


def _function_type(btf: Btf, type_id: int) -> int:
    """The prototype behind a pointer to a function."""
    return btf.resolve(btf[btf.resolve(type_id)].reference)
