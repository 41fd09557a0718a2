"""Sets the initial values of maps of maps and of program arrays.

These values are maps and programs, so they are set after everything else is loaded.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping

from ...errors import ObjectError
from ...obj import MapSpec, ObjectSpec
from ...obj.uapi import MapType
from ..map import Map
from .program import Program

_KEY = struct.Struct("<I")


def fill_values(spec: ObjectSpec, maps: Mapping[str, Map], programs: Mapping[str, Program], reused: Collection[str]) -> None:
    """Writes the initial values of each map. Maps of maps that were ``reused`` keep their content.

    Raises :class:`ObjectError` if a value does not exist or is of the wrong kind, else :class:`~ebpfnn.errors.KernelError`.
    """
    for name, found in spec.maps.items():
        if name not in maps or found.type == MapType.STRUCT_OPS:
            continue
        if found.type == MapType.PROG_ARRAY:
            _fill(found, maps[name], programs, spec.programs, f"{spec.name}: map '{name}' holds programs")
        elif name not in reused:
            _fill(found, maps[name], maps, spec.maps, f"{spec.name}: map '{name}' holds maps")


def _fill(
    spec: MapSpec, target: Map, made: Mapping[str, Map] | Mapping[str, Program], known: Collection[str], what: str
) -> None:
    for index, value in spec.values:
        if value not in known:
            raise ObjectError(f"{what}, but its value {index}, '{value}', does not exist; name one of its kind")
        if value in made:  # an optional map or program may not exist
            target.update(_KEY.pack(index), made[value])
