"""Map definitions: the ``.maps`` section, whose bytes are zeros and whose meaning lies in BTF, and the data sections."""

from __future__ import annotations

from ..errors import ObjectError
from .btf import Btf, Kind
from .elf import Elf, Section
from .spec import MapSpec, Variable

ARRAY = 2  # BPF_MAP_TYPE_ARRAY
RDONLY_PROG = 1 << 7  # BPF_F_RDONLY_PROG
MMAPABLE = 1 << 10  # BPF_F_MMAPABLE
_LARGEST = 0xFFFFFFFF  # sizes are 32-bit words in bpf(2)
_DATA_SECTIONS = (".rodata", ".data", ".bss")


def read_maps(elf: Elf, btf: Btf | None, name: str) -> dict[str, MapSpec]:
    """Every map that the object defines, data sections included, by the names that programs refer to."""
    maps = {}
    section = elf.section(".maps")
    if section is not None:
        if btf is None:
            raise ObjectError(f"{name}: a .maps section without BTF; build it with clang -g")
        for variable in _section_variables(btf, ".maps", name):
            spec = _definition(btf, variable, name)
            maps[spec.name] = spec
    for section in elf.sections:
        if is_data(section.name) and section.size:
            if section.name in maps:
                raise ObjectError(f"{name}: section '{section.name}' is there twice; rebuild the object")
            maps[section.name] = _data_map(section, btf)
    return maps


def is_data(section: str) -> bool:
    """Whether the section becomes a data map: .rodata, .data, .bss and what clang or the author named after them."""
    return section in _DATA_SECTIONS or section.startswith(tuple(f"{known}." for known in _DATA_SECTIONS))


def read_variables(elf: Elf, name: str) -> dict[str, Variable]:
    """The global variables of the data sections. Raises :class:`ObjectError` for one that does not lie in its section."""
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
    """Fills in the sizes and offsets that clang leaves at 0 and that the kernel demands of a DATASEC."""
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
        raise ObjectError(f"{name}: BTF says nothing of section {section}; build it with clang -g")
    return [variable for variable, _, _ in btf.section_variables(type_id)]


def _definition(btf: Btf, variable: int, name: str) -> MapSpec:
    """``__uint(name, n)`` is a pointer to an array of n ints, ``__type(name, t)`` a pointer to a t."""
    map_name = btf[variable].name
    definition = btf.resolve(btf[variable].reference)
    if btf[definition].kind is not Kind.STRUCT:
        raise ObjectError(f"{name}: map '{map_name}' is not a struct; define it with __uint() and __type()")
    numbers: dict[str, int] = {}
    types: dict[str, int] = {}
    for member in btf.members(definition):
        pointed = _pointed(btf, member.type_id, f"{name}: map '{map_name}', attribute '{member.name}'")
        if member.name in ("key", "value"):
            types[member.name] = pointed
        elif btf[pointed].kind is Kind.ARRAY:
            numbers[member.name] = btf.array(pointed)[1]
        else:
            raise ObjectError(f"{name}: map '{map_name}': attribute '{member.name}' is not a number; define it with __uint()")
    unknown = set(numbers) - {"type", "key_size", "value_size", "max_entries", "map_flags"}
    if unknown or "type" not in numbers:
        fact = f"attribute '{min(unknown)}' is not known" if unknown else "it has no type"
        known = "type, key, value, key_size, value_size, max_entries and map_flags"
        raise ObjectError(f"{name}: map '{map_name}': {fact}; this loader reads {known}")
    sizes = {each: numbers.get(f"{each}_size") or _size(btf, types.get(each)) for each in ("key", "value")}
    if max(sizes.values()) > _LARGEST:
        raise ObjectError(f"{name}: map '{map_name}': a key or value of {max(sizes.values())} bytes; at most {_LARGEST} fit")
    return MapSpec(
        name=map_name,
        type=numbers["type"],
        key_size=sizes["key"],
        value_size=sizes["value"],
        max_entries=numbers.get("max_entries", 0),
        flags=numbers.get("map_flags", 0),
        key_type_id=types.get("key", 0),
        value_type_id=types.get("value", 0),
    )


def _pointed(btf: Btf, type_id: int, what: str) -> int:
    found = btf[btf.resolve(type_id)]
    if found.kind is not Kind.PTR:
        raise ObjectError(f"{what} is not a pointer; define it with __uint() or __type()")
    return btf.resolve(found.reference)


def _size(btf: Btf, type_id: int | None) -> int:
    return btf.size_of(type_id) if type_id else 0


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
