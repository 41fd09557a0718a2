"""The maps of an object: those it defines in ``.maps`` or ``maps``, its struct_ops, and its data sections."""

from __future__ import annotations

from ..errors import ObjectError
from .btf import Btf, Kind
from .elf import Elf, Section
from .externs import KCONFIG
from .legacy_maps import read_legacy_maps
from .map_definition import read_definition
from .places import is_map_section
from .spec import MapSpec, Variable
from .struct_ops import is_struct_ops, read_struct_ops
from .uapi import MMAPABLE, RDONLY_PROG, MapType

ARRAY = MapType.ARRAY
_DATA_SECTIONS = (".rodata", ".data", ".bss")


def read_maps(elf: Elf, btf: Btf | None, name: str) -> dict[str, MapSpec]:
    """Every map that the object defines, data sections included, by the names that programs refer to."""
    maps: dict[str, MapSpec] = {}
    for section in elf.sections:
        for found in _section_maps(elf, section, btf, name):
            if found.name in maps:
                what = "section" if is_data(found.name) else "map"
                raise ObjectError(f"{name}: {what} '{found.name}' is defined twice; rename one, and rebuild the object")
            maps[found.name] = found
    return maps


def _section_maps(elf: Elf, section: Section, btf: Btf | None, name: str) -> list[MapSpec]:
    if is_data(section.name):
        return [_data_map(section, btf)] if section.size else []
    if not is_map_section(section.name) and not is_struct_ops(section.name):
        return []
    if section.name != ".maps" and not is_struct_ops(section.name):
        return list(read_legacy_maps(elf, section, name).values())
    if btf is None:
        raise ObjectError(f"{name}: a {section.name} section without BTF; build it with clang -g")
    if is_struct_ops(section.name):
        return list(read_struct_ops(elf, section, btf, name).values())
    variables = [btf[variable] for variable in _section_variables(btf, section.name, name)]
    return [read_definition(btf, variable.reference, variable.name, name) for variable in variables]


def is_data(section: str) -> bool:
    """Whether the section becomes a data map: .rodata, .data, .bss and what clang or the author named after them."""
    return section in _DATA_SECTIONS or section.startswith(tuple(f"{known}." for known in _DATA_SECTIONS))


def holds_values(map_name: str) -> bool:
    """Whether the map is internal to an object: its data sections, and the kernel's configuration."""
    return is_data(map_name) or map_name == KCONFIG


def read_variables(elf: Elf, name: str) -> dict[str, Variable]:
    """The global variables of the data sections. Raises :class:`ObjectError` for one that exceeds its section."""
    for symbol in (each for each in elf.symbols if each.kind == "object"):
        if symbol.section is not None and symbol.value + symbol.size > elf.sections[symbol.section].size:
            raise ObjectError(f"{name}: variable '{symbol.name}' ends past the end of its section; rebuild the object")
    data = {section.index: section.name for section in elf.sections if is_data(section.name)}
    return {
        symbol.name: Variable(symbol.name, data[symbol.section], symbol.value, symbol.size)
        for symbol in elf.symbols
        if symbol.kind == "object" and symbol.section in data
    }


def place_sections(btf: Btf, elf: Elf) -> None:
    """Sets the sizes and offsets of a DATASEC, which clang leaves 0 and the kernel requires."""
    offsets: dict[int, dict[str, int]] = {}
    for symbol in elf.symbols:
        if symbol.section is not None and symbol.kind == "object":
            offsets.setdefault(symbol.section, {})[symbol.name] = symbol.value
    types = {btf[type_id].name: type_id for type_id in range(1, len(btf)) if btf[type_id].kind is Kind.DATASEC}
    for section in elf.sections:
        if section.name in types:
            btf.place_section(types[section.name], section.size, offsets.get(section.index, {}))


def _section_variables(btf: Btf, section: str, name: str) -> list[int]:
    type_id = btf.find(section, Kind.DATASEC)
    if type_id is None:
        raise ObjectError(f"{name}: BTF does not describe section {section}; build it with clang -g")
    return [variable for variable, _, _ in btf.section_variables(type_id)]


def _data_map(section: Section, btf: Btf | None) -> MapSpec:
    read_only = section.name.startswith(".rodata")
    return MapSpec(
        name=section.name,
        type=ARRAY,
        key_size=4,
        value_size=section.size,
        max_entries=1,
        flags=MMAPABLE | (RDONLY_PROG if read_only else 0),
        value_type_id=(btf.find(section.name, Kind.DATASEC) or 0) if btf else 0,
        contents=None if section.no_bits else section.data,
        frozen=read_only,
    )
