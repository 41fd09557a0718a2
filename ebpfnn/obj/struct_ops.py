"""``struct_ops`` maps: a struct of functions that the kernel declares and programs implement (Linux 5.6).

A variable ``struct tcp_congestion_ops mine = {...}`` in section ``.struct_ops`` defines such a map. In ``.struct_ops.link``, it
is registered through a link (Linux 6.4). If the section name begins with ``?``, the map is created only on request.
"""

from __future__ import annotations

from ..errors import ObjectError
from .btf import Btf, Kind
from .elf import Elf, Section, Symbol
from .spec import MapSpec
from .uapi import LINK, MapType

_SECTIONS = (".struct_ops", ".struct_ops.link")


def is_struct_ops(section: str) -> bool:
    return section.removeprefix("?") in _SECTIONS


def read_struct_ops(elf: Elf, section: Section, btf: Btf, name: str) -> dict[str, MapSpec]:
    """Returns the maps of ``section``. Raises :class:`ObjectError` if the object is malformed."""
    datasec = btf.find(section.name, Kind.DATASEC)
    if datasec is None:
        raise ObjectError(f"{name}: BTF does not describe section {section.name}; build it with clang -g")
    symbols = {s.name: s for s in elf.symbols if s.section == section.index and s.kind == "object"}
    maps = {}
    for variable, _, _ in btf.section_variables(datasec):
        symbol = symbols.get(btf[variable].name)
        if symbol is None:
            raise ObjectError(f"{name}: struct_ops '{btf[variable].name}' has no symbol; rebuild the object")
        maps[symbol.name] = _struct_ops(section, btf, symbol, btf.resolve(btf[variable].reference), name)
    return maps


def _struct_ops(section: Section, btf: Btf, symbol: Symbol, type_id: int, name: str) -> MapSpec:
    """``contents`` have the layout of the object. The loader converts them to the layout of the kernel."""
    what = f"{name}: struct_ops '{symbol.name}'"
    end = symbol.value + btf.size_of(type_id)
    if btf[type_id].kind is not Kind.STRUCT or not btf[type_id].name or end > section.size:
        raise ObjectError(f"{what} is not a struct of the kernel's; declare it as one, such as struct tcp_congestion_ops")
    return MapSpec(
        name=symbol.name,
        type=MapType.STRUCT_OPS,
        key_size=4,
        value_size=end - symbol.value,
        max_entries=1,
        flags=LINK if section.name.endswith(".link") else 0,
        value_type_id=type_id,
        contents=section.data[symbol.value : end] or bytes(end - symbol.value),
        autocreate=not section.name.startswith("?"),
    )
