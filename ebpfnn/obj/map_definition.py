"""Reads a map definition in ``.maps``: a struct whose bytes are unused, and whose member types contain all values."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import ObjectError
from .btf import Btf, Kind, Member
from .spec import MapSpec
from .uapi import MapType

_LARGEST = 0xFFFFFFFF  # sizes are 32-bit words in bpf(2)
_NUMBERS = frozenset(
    {"type", "key_size", "value_size", "max_entries", "map_flags", "numa_node", "map_extra", "pinning"}
)  # fmt: skip
_OF_MAPS = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)
_OF_DESCRIPTORS = (*_OF_MAPS, MapType.PROG_ARRAY)


@dataclass
class _Attributes:
    """The members of one definition. ``inner`` is the element type of ``values``, 0 without values."""

    numbers: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    inner: int = 0


def read_definition(btf: Btf, type_id: int, map_name: str, name: str, *, is_inner: bool = False) -> MapSpec:
    """The map whose definition is the struct ``type_id``; ``name`` is the object's. Raises :class:`ObjectError`."""
    definition = btf.resolve(type_id)
    what = f"{name}: map '{map_name}'"
    if btf[definition].kind is not Kind.STRUCT:
        raise ObjectError(f"{what} is not a struct; define it with __uint() and __type()")
    found = _Attributes()
    for member in btf.members(definition):
        _read_member(btf, member, found, what)
    _check(found, what, is_inner)
    numbers = found.numbers
    sizes = {each: numbers.get(f"{each}_size") or _size(btf, found.types.get(each)) for each in ("key", "value")}
    if numbers["type"] in _OF_DESCRIPTORS:
        sizes = {each: size or 4 for each, size in sizes.items()}
    if max(sizes.values()) > _LARGEST:
        raise ObjectError(f"{what}: a key or value of {max(sizes.values())} bytes; the limit is {_LARGEST}")
    return MapSpec(
        name=map_name,
        type=numbers["type"],
        key_size=sizes["key"],
        value_size=sizes["value"],
        max_entries=numbers.get("max_entries", 0),
        flags=numbers.get("map_flags", 0),
        key_type_id=found.types.get("key", 0),
        value_type_id=found.types.get("value", 0),
        numa_node=numbers.get("numa_node", 0),
        extra=numbers.get("map_extra", 0),
        pinning=numbers.get("pinning", 0),
        inner=_inner(btf, found, map_name, name),
    )


def values_offset(btf: Btf, type_id: int) -> int | None:
    """The offset of ``values`` in a definition, None if it has none."""
    members = btf.members(btf.resolve(type_id))
    return next((member.offset // 8 for member in members if member.name == "values"), None)


def _read_member(btf: Btf, member: Member, found: _Attributes, what: str) -> None:
    """``__uint(name, n)`` is a pointer to an array of n ints, ``__type(name, t)`` a pointer to a t, ``__ulong`` an enumerator.

    ``__array(values, t)`` is an array of pointers to t.
    """
    attribute = f"{what}, attribute '{member.name}'"
    kind = btf[member_type := btf.resolve(member.type_id)].kind
    if member.name == "values":
        if kind is not Kind.ARRAY:
            raise ObjectError(f"{attribute} is not an array; define it with __array()")
        found.inner = _pointed(btf, btf.array(member_type)[0], attribute)
    elif member.name in ("key", "value"):
        found.types[member.name] = _referred(btf, member_type, attribute)
    elif member.name not in _NUMBERS:
        known = "type, key, value, values, key_size, value_size, max_entries, map_flags, numa_node, map_extra and pinning"
        raise ObjectError(f"{what}: attribute '{member.name}' is unknown; this loader supports {known}")
    else:
        found.numbers[member.name] = _number(btf, member_type, attribute)


def _number(btf: Btf, type_id: int, attribute: str) -> int:
    if btf[type_id].kind in (Kind.ENUM, Kind.ENUM64):
        values = btf.enumerators(type_id)
        if len(values) == 1:
            return values[0][1]
    pointed = _pointed(btf, type_id, attribute)
    if btf[pointed].kind is not Kind.ARRAY:
        raise ObjectError(f"{attribute} is not a number; define it with __uint()")
    return btf.array(pointed)[1]


def _check(found: _Attributes, what: str, is_inner: bool) -> None:
    numbers = found.numbers
    if "type" not in numbers:
        raise ObjectError(f"{what} has no type; add __uint(type, BPF_MAP_TYPE_...)")
    for attribute, value in numbers.items():
        if attribute != "map_extra" and not 0 <= value <= _LARGEST:
            raise ObjectError(f"{what}: attribute '{attribute}' is {value}; the limit is {_LARGEST}")
    if found.inner and numbers["type"] not in _OF_DESCRIPTORS:
        raise ObjectError(f"{what}: only maps of maps and program arrays have values; set them after loading")
    if is_inner and (numbers.get("pinning") or numbers["type"] in _OF_MAPS):
        fact = "is pinned" if numbers.get("pinning") else "is a map of maps"
        raise ObjectError(f"{what} is inside another and {fact}, which no kernel allows; remove that")


def _inner(btf: Btf, found: _Attributes, map_name: str, name: str) -> MapSpec | None:
    if not found.inner or found.numbers["type"] not in _OF_MAPS:
        return None
    return read_definition(btf, found.inner, f"{map_name}.inner", name, is_inner=True)


def _pointed(btf: Btf, type_id: int, what: str) -> int:
    return btf.resolve(_referred(btf, type_id, what))


def _referred(btf: Btf, type_id: int, what: str) -> int:
    """The type that a pointer refers to. A typedef is kept, because bpftool and others print values by its name."""
    found = btf[btf.resolve(type_id)]
    if found.kind is not Kind.PTR:
        raise ObjectError(f"{what} is not a pointer; define it with __uint() or __type()")
    return found.reference


def _size(btf: Btf, type_id: int | None) -> int:
    return btf.size_of(type_id) if type_id else 0
