"""Frames of every kind, laid out by hand: what is in them is the caller's, right or wrong."""

from __future__ import annotations

import struct
from collections.abc import Sequence

MACS = bytes.fromhex("020000000002020000000001")
SOURCE4, DESTINATION4 = bytes([10, 1, 2, 3]), bytes([192, 168, 200, 4])
SOURCE6 = bytes.fromhex("20010db800000001123456789abcdef0")
DESTINATION6 = bytes.fromhex("fe80000000000000fedcba9876543210")


def ethernet(ethertype: int, behind: bytes, tags: Sequence[tuple[int, int]] = ()) -> bytes:
    """``tags`` are pairs of EtherType and control word, the outer first."""
    words = [word for tag in tags for word in tag]
    return MACS + b"".join(word.to_bytes(2, "big") for word in (*words, ethertype)) + behind


def ipv4(
    protocol: int,
    behind: bytes,
    options: bytes = b"",
    *,
    fragment: int = 0x4000,
    total: int = -1,
    words: int = -1,
    hops: int = 61,
) -> bytes:
    """``options`` of whole words; ``total`` and ``words`` are what the header says, right unless they are given."""
    length = 20 + len(options) + len(behind) if total < 0 else total
    first = 0x40 | (5 + len(options) // 4 if words < 0 else words)
    head = struct.pack("!BBHHHBBH", first, 0xB8, length, 0x1234, fragment, hops, protocol, 0)
    return head + SOURCE4 + DESTINATION4 + options + behind


def ipv6(protocol: int, behind: bytes, *, length: int = -1) -> bytes:
    head = struct.pack("!IHBB", 0x6B812345, len(behind) if length < 0 else length, protocol, 63)
    return head + SOURCE6 + DESTINATION6 + behind


def extension(following: int, units: int = 0, kind: int = 0) -> bytes:
    """A header of ``kind`` with ``units`` more than the least of what its length counts."""
    size = 4 * units + 8 if kind == 51 else 8 * units + 8
    return bytes([following, units]) + bytes(size - 2)


def fragmented(following: int, offset: int, *, more: bool) -> bytes:
    return struct.pack("!BBHI", following, 0, offset << 3 | more, 99)


def chain(kinds: Sequence[int], last: int, behind: bytes, units: int = 0) -> tuple[int, bytes]:
    """The first protocol and the bytes of extension headers of these kinds, in front of ``behind``, which is ``last``."""
    for kind in reversed(kinds):
        behind = extension(last, units, kind) + behind
        last = kind
    return last, behind


def tcp(payload: bytes = b"", *, flags: int = 0x12, words: int = 5) -> bytes:
    return struct.pack("!HHIIBBHHH", 50123, 443, 7, 8, words << 4, flags, 64240, 0, 0) + bytes(4 * max(0, words - 5)) + payload


def udp(payload: bytes = b"") -> bytes:
    return struct.pack("!HHHH", 40000, 53, 8 + len(payload), 0) + payload


def sctp(payload: bytes = b"") -> bytes:
    return struct.pack("!HHII", 2905, 2906, 1, 0) + payload


def icmp(kind: int = 8, code: int = 3, payload: bytes = b"") -> bytes:
    return struct.pack("!BBHI", kind, code, 0, 5) + payload
