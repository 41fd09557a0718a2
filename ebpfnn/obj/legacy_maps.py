"""Reads the ``maps`` section of objects written before libbpf 1.0: an array of ``struct bpf_map_def``, one per symbol."""

from __future__ import annotations

import struct

from ..errors import ObjectError
from .elf import Elf, Section
from .spec import MapSpec

_DEFINITION = struct.Struct("<5I")  # type, key_size, value_size, max_entries, map_flags


def read_legacy_maps(elf: Elf, section: Section, name: str) -> dict[str, MapSpec]:
    """The maps of ``section``. Raises :class:`ObjectError` for definitions with more fields than ``struct bpf_map_def``."""
    symbols = sorted((s for s in elf.symbols if s.section == section.index and s.kind == "object"), key=lambda s: s.value)
    if not symbols or section.size % len(symbols) or len(section.data) != section.size:
        raise ObjectError(
            f"{name}: section '{section.name}' does not hold one definition per map; define maps in SEC(\".maps\")"
        )
    size = section.size // len(symbols)
    maps = {}
    for number, symbol in enumerate(symbols):
        what = f"{name}: map '{symbol.name}'"
        if size < _DEFINITION.size or symbol.value != number * size:
            raise ObjectError(f'{what} is not a struct bpf_map_def of {_DEFINITION.size} bytes; define it in SEC(".maps")')
        if any(section.data[symbol.value + _DEFINITION.size : symbol.value + size]):
            raise ObjectError(
                f'{what} has more fields than struct bpf_map_def (such as iproute2\'s); define it in SEC(".maps")'
            )
        maps[symbol.name] = MapSpec(symbol.name, *_DEFINITION.unpack_from(section.data, symbol.value))
    return maps
