"""Lists an object as plain data: programs, maps, and the relocations of each instruction; for people and for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import ObjectError
from . import insn
from .btf import Btf
from .core.core_access import describe
from .disasm import disassemble
from .image import build_image
from .object_spec import ObjectSpec
from .spec import Function, MapSpec, ProgramSpec, Relocation
from .uapi import MapType, ProgramType, enum_name


def contents(spec: ObjectSpec) -> dict[str, Any]:
    """The content of ``spec``, by kind. Raises :class:`ObjectError` for CO-RE relocations that contradict its types."""
    return {
        "name": spec.name,
        "license": spec.license,
        "btf_types": len(spec.btf) - 1 if spec.btf else 0,
        "programs": [_program(spec, program) for program in spec.programs.values()],
        "maps": [_map(entry) for entry in spec.maps.values()],
        "functions": [_function(spec, function) for function in spec.functions.values()],
        "kernel_symbols": [
            {"name": each.name, "kind": each.kind.name.lower(), "weak": each.weak} for each in spec.kernel_symbols.values()
        ],
        "externs": sorted(spec.externs),
    }


def assembly(spec: ObjectSpec, function: Function) -> Iterator[str]:
    """The disassembly of a function, with its source lines and relocations as comments."""
    waiting = dict(waits(spec, function))
    sources = {line.index: line for line in function.lines}
    shown = ""
    for index, text in disassemble(function.code):
        line = sources.get(index)
        if line and spec.btf:
            file = spec.btf.string(line.file).rpartition("/")[2]
            source = f"; {spec.btf.string(line.text).strip()} @ {file}:{line.line}"
            if source != shown:
                yield source
            shown = source
        yield f"{index}: {text:<40}; {waiting[index]}" if index in waiting else f"{index}: {text}"


def waits(spec: ObjectSpec, function: Function) -> list[tuple[int, str]]:
    """The relocation of each instruction: ``map counts``, ``CO-RE task_struct::pid byte_off``. Raises :class:`ObjectError`."""
    found = [(each.index, _relocation(each)) for each in function.relocations]
    if function.core and spec.btf is None:
        raise ObjectError(f"{spec.name}: CO-RE relocations without BTF; build it with clang -g")
    found += [
        (each.index, f"CO-RE {_described(spec, spec.btf or Btf(), function, at)}") for at, each in enumerate(function.core)
    ]
    return sorted(found)


def _described(spec: ObjectSpec, btf: Btf, function: Function, number: int) -> str:
    try:
        return describe(btf, function.core[number])
    except ObjectError as fault:
        raise ObjectError(f"{spec.name}: function '{function.name}': {fault}") from None


def _relocation(relocation: Relocation) -> str:
    addend = f"+{relocation.addend}" if relocation.addend else ""
    return f"{relocation.kind.name.lower()} {relocation.symbol}{addend}"


def _program(spec: ObjectSpec, program: ProgramSpec) -> dict[str, Any]:
    """A program; ``total`` also counts the instructions of the functions it calls, None if that is unknown before linking."""
    try:
        total = len(build_image(spec, program.name).code) // insn.SIZE
    except ObjectError:
        total = None
    return {
        "name": program.name,
        "section": program.section,
        "type": enum_name(ProgramType, program.type),
        "instructions": len(spec.functions[program.name].code) // insn.SIZE,
        "total": total,
    }


def _map(entry: MapSpec) -> dict[str, Any]:
    return {
        "name": entry.name,
        "type": enum_name(MapType, entry.type),
        "key_size": entry.key_size,
        "value_size": entry.value_size,
        "max_entries": entry.max_entries,
        "flags": entry.flags,
        "pinned": entry.pinned,
    }


def _function(spec: ObjectSpec, function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "instructions": len(function.code) // insn.SIZE,
        "exported": function.exported,
        "relocations": [{"instruction": index, "to": text} for index, text in waits(spec, function)],
    }
