"""Captures, written from their specifications: pcap and pcapng."""

from __future__ import annotations

import struct
from collections.abc import Iterable

Packet = tuple[int, bytes]
"""Time in nanoseconds, and the frame."""


def pcap(packets: Iterable[Packet], *, order: str = "<", nano: bool = True, link: int = 1, cut: int = 1 << 18) -> bytes:
    """Frames are captured up to ``cut`` bytes."""
    head = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, link)
    unit = 1 if nano else 1000
    records = [
        struct.pack(f"{order}4I", time // 10**9, time % 10**9 // unit, len(data[:cut]), len(data)) + data[:cut]
        for time, data in packets
    ]
    return head + b"".join(records)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, resolution: int | None = 9, offset: int = 0, order: str = "<") -> bytes:
    options = b"" if resolution is None else struct.pack(f"{order}HHB3x", 9, 1, resolution)
    options += struct.pack(f"{order}HHq", 14, 8, offset) if offset else b""
    return block(1, struct.pack(f"{order}HHI", link, 0, 0) + options + bytes(4), order)


def packet(units: int, data: bytes, *, number: int = 0, order: str = "<") -> bytes:
    head = struct.pack(f"{order}5I", number, units >> 32, units & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data, order)


def pcapng(packets: Iterable[Packet], order: str = "<") -> bytes:
    """One section, one interface of nanoseconds."""
    return section(order) + interface(order=order) + b"".join(packet(time, data, order=order) for time, data in packets)
