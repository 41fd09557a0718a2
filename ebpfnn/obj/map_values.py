"""Reads the relocations of map sections: the ``values`` of maps of maps and program arrays, and the functions of struct_ops."""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import replace

from ..errors import ObjectError
from .btf import Btf, Kind
from .elf import R_BPF_64_ABS64, Elf, Reloc, Section, Symbol
from .map_definition import values_offset
from .places import Places
from .spec import MapSpec
from .struct_ops import is_struct_ops

_POINTER = struct.Struct("<Q")


def fill_values(maps: dict[str, MapSpec], elf: Elf, btf: Btf, places: Places, name: str) -> None:
    """Adds the values to the specs in ``maps``. Raises :class:`ObjectError` for one that is neither a map nor a program."""
    for section in elf.sections:
        if section.name == ".maps" or is_struct_ops(section.name):
            _fill_section(maps, elf, section, btf, places, name)


def _fill_section(maps: dict[str, MapSpec], elf: Elf, section: Section, btf: Btf, places: Places, name: str) -> None:
    types = {btf[variable].name: btf[variable].reference for variable in _variables(btf, section.name)}
    known = types.keys() & maps.keys()
    symbols = [s for s in elf.symbols if s.section == section.index and s.kind == "object" and s.name in known]
    values = defaultdict(list)
    for reloc in elf.relocations.get(section.index, []):
        owner = _owner(symbols, reloc, section, name)
        what = f"{name}: map '{owner.name}', byte {reloc.offset - owner.value}"
        place = reloc.offset - owner.value
        if section.name == ".maps":
            first = values_offset(btf, types[owner.name])
            if first is None or place < first:
                raise ObjectError(f"{what} contains an address outside the values; define values with __array(values)")
            place = (place - first) // _POINTER.size
        values[owner.name].append((place, _target(section, reloc, places, what)))
    for map_name, entries in values.items():
        maps[map_name] = replace(maps[map_name], values=tuple(entries))


def _target(section: Section, reloc: Reloc, places: Places, what: str) -> str:
    whole = reloc.type == R_BPF_64_ABS64 and reloc.offset + _POINTER.size <= len(section.data)
    found = places.name_of(reloc.symbol, _POINTER.unpack_from(section.data, reloc.offset)[0]) if whole else None
    if found is None:
        raise ObjectError(f"{what}: '{reloc.symbol.name}' is neither a map nor a program of this object; name one")
    return found


def _variables(btf: Btf, name: str) -> list[int]:
    section = btf.find(name, Kind.DATASEC)
    return [variable for variable, _, _ in btf.section_variables(section)] if section else []


def _owner(symbols: list[Symbol], reloc: Reloc, section: Section, name: str) -> Symbol:
    for symbol in symbols:
        if symbol.value <= reloc.offset < symbol.value + symbol.size:
            return symbol
    raise ObjectError(f"{name}: byte {reloc.offset} of {section.name} contains an address but is in no map; rebuild the object")
