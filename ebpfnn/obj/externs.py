"""Externs that the running kernel defines: ``__kconfig`` variables, ``__ksym`` variables and functions (kfuncs).

clang lists them in the BTF sections ``.kconfig`` and ``.ksyms``, which have no bytes in the object. An extern function in
neither is one that another object defines.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ObjectError
from .btf import Btf, Kind, Linkage
from .elf import Elf
from .spec import KernelSymbol, MapSpec, SymbolKind
from .uapi import MMAPABLE, RDONLY_PROG, MapType

KCONFIG = ".kconfig"
_KSYMS = ".ksyms"
_ALIGNMENT = 8  # the largest that any type of a configuration value has
_LARGEST = 1 << 20  # bytes of all values together, which nobody needs


def read_externs(elf: Elf, btf: Btf | None, name: str) -> dict[str, KernelSymbol]:
    """The externs of an object by name. Raises :class:`ObjectError`."""
    if btf is None:
        return {}
    weak = {symbol.name for symbol in elf.symbols if symbol.is_undefined and symbol.is_weak}
    undefined = {symbol.name for symbol in elf.symbols if symbol.is_undefined}
    found = {}
    offset = 0
    for variable in _members(btf, KCONFIG):
        extern = btf[variable]
        found[extern.name] = KernelSymbol(
            extern.name, SymbolKind.KCONFIG, extern.reference, extern.name in weak, KCONFIG, offset
        )
        offset += -(-_value_size(btf, extern.reference, extern.name, name) // _ALIGNMENT) * _ALIGNMENT
        if offset > _LARGEST:
            raise ObjectError(f"{name}: its __kconfig externs take {offset} bytes; the limit is {_LARGEST}")
    for entry in _members(btf, _KSYMS):
        extern = btf[entry]
        kind = SymbolKind.FUNCTION if extern.kind is Kind.FUNC else SymbolKind.VARIABLE
        type_id = extern.reference if kind is SymbolKind.FUNCTION else _type_or_void(btf, extern.reference)
        found[extern.name] = KernelSymbol(extern.name, kind, type_id, extern.name in weak)
    return {each: symbol for each, symbol in found.items() if each in undefined}


def kconfig_map(symbols: dict[str, KernelSymbol], btf: Btf | None) -> MapSpec | None:
    """The read-only array for the values of the configuration, None if none is used."""
    ends = [s.offset + btf.size_of(s.type_id) for s in symbols.values() if btf and s.kind is SymbolKind.KCONFIG]
    if not ends:
        return None
    flags = MMAPABLE | RDONLY_PROG
    return MapSpec(KCONFIG, MapType.ARRAY, 4, max(ends), 1, flags, contents=bytes(max(ends)), frozen=True)


def extern_types(btf: Btf) -> tuple[set[int], set[int]]:
    """The DATASECs that no kernel accepts, and the extern VARs and FUNCs."""
    sections = {found for section in (KCONFIG, _KSYMS) for found in btf.find_all(section, Kind.DATASEC)}
    externs = {entry for section in sections for entry, _, _ in btf.section_variables(section)}
    functions = (each for each in range(1, len(btf)) if btf[each].kind is Kind.FUNC and btf[each].vlen == Linkage.EXTERN)
    return sections, externs | set(functions)


def _members(btf: Btf, section: str) -> Iterator[int]:
    type_id = btf.find(section, Kind.DATASEC)
    return (entry for entry, _, _ in btf.section_variables(type_id)) if type_id else iter(())


def _type_or_void(btf: Btf, type_id: int) -> int:
    return type_id if btf.resolve(type_id) else 0


def _value_size(btf: Btf, type_id: int, extern: str, name: str) -> int:
    try:
        return btf.size_of(type_id)
    except ObjectError:
        raise ObjectError(f"{name}: extern '{extern}' has no size; declare it bool, char, an integer or char[N]") from None
