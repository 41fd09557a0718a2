"""Finds the programs of an object: its global functions in sections with a known name."""

from __future__ import annotations

from .btf import Btf, Kind, Linkage
from .elf import Elf
from .places import Places
from .sections import read_section
from .spec import Contents, ProgramSpec, RelocationKind
from .uapi import ProgramType

_TEXT = ".text"


def read_programs(elf: Elf, places: Places, spec: Contents) -> dict[str, ProgramSpec]:
    """Every program. One in a section of an unknown name is kept, with type 0, unless another function calls it."""
    reached = {
        relocation.symbol
        for function in spec.functions.values()
        for relocation in function.relocations
        if relocation.kind in (RelocationKind.CALL, RelocationKind.FUNCTION)
    }
    programs = {}
    for index, symbols in places.functions.items():
        name = elf.sections[index].name
        section = read_section(name)
        for symbol in symbols:
            if not symbol.is_global or name == _TEXT or (section.kind is None and symbol.name in reached):
                continue
            program = ProgramSpec(symbol.name, name, ProgramType.UNSPEC, attach_to=section.attach_to, autoload=section.autoload)
            if section.kind:
                kind, attach_type, flags, _ = section.kind
                program = ProgramSpec(symbol.name, name, kind, attach_type, flags, section.attach_to, section.autoload)
            programs[symbol.name] = program
    return programs


def mark_hidden_static(btf: Btf, elf: Elf) -> None:
    """``__hidden`` functions are verified where they are called, as static ones are: only their linkage in BTF says so."""
    hidden = {symbol.name for symbol in elf.symbols if symbol.hidden and symbol.kind == "function"}
    for name in hidden:
        for type_id in btf.find_all(name, Kind.FUNC):
            btf.set_linkage(type_id, Linkage.STATIC)
