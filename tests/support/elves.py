"""Built objects, and the same with single fields of their ELF headers overwritten."""

from __future__ import annotations

import struct
from pathlib import Path

from ebpfnn.built import object_path

SHIPPED = ("network", "naive", "run", "tracepoint")
_FIELDS = {
    "name": ("<I", 0),
    "type": ("<I", 4),
    "flags": ("<Q", 8),
    "offset": ("<Q", 24),
    "size": ("<Q", 32),
    "link": ("<I", 40),
    "info": ("<I", 44),
    "entry": ("<Q", 56),
}


def shipped(name: str) -> bytes:
    """The built object of that name; fails with what to do where it is not built."""
    return Path(object_path(name)).read_bytes()


def section_headers(data: bytes) -> dict[str, int]:
    """Where each section's header lies, by the section's name."""
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names_index = struct.unpack_from("<HH", data, 60)
    (names,) = struct.unpack_from("<Q", data, table + names_index * 64 + 24)
    found = {}
    for at in range(table, table + count * 64, 64):
        start = names + struct.unpack_from("<I", data, at)[0]
        found[data[start : data.index(0, start)].decode()] = at
    return found


def section_start(data: bytes, section: str) -> int:
    """Where a section's bytes begin."""
    return int(struct.unpack_from("<Q", data, section_headers(data)[section] + 24)[0])


def with_field(data: bytes, section: str, field: str, value: int) -> bytes:
    """``data`` with one field of a section's header changed."""
    layout, offset = _FIELDS[field]
    return with_words(data, section_headers(data)[section] + offset, layout, value)


def with_words(data: bytes, at: int, layout: str, *values: int) -> bytes:
    """``data`` with ``values`` written at byte ``at``."""
    changed = bytearray(data)
    struct.pack_into(layout, changed, at, *values)
    return bytes(changed)
