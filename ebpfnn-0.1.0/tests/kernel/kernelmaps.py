"""Maps made by hand."""

from __future__ import annotations

import struct

from ebpfnn.kernel import Map
from ebpfnn.obj import MapSpec
from ebpfnn.obj.uapi import MapType


def make(type: MapType, key_size: int = 4, value_size: int = 8, entries: int = 64, flags: int = 0) -> Map:  # noqa: A002
    return Map.create(MapSpec(type.name.lower(), type, key_size, value_size, entries, flags))


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


def u64(number: int) -> bytes:
    return struct.pack("=Q", number)
