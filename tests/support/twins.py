"""What the maps and variables of a C twin hold."""

from __future__ import annotations

from ebpfnn.obj import ObjectSpec


def contents(spec: ObjectSpec, name: str) -> bytes:
    """The contents of a map."""
    found = spec.maps[name].contents
    assert found is not None
    return found


def variable(spec: ObjectSpec, name: str) -> bytes:
    place = spec.variables[name]
    return contents(spec, place.map)[place.offset : place.offset + place.size]
