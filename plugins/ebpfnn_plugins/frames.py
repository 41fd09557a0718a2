"""Ethernet frames with a UDP payload, in the form that BPF_PROG_RUN takes (RFC 768, 791, 8200)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address
_UDP, _HOPS = 17, 64
_UDP_HEADER = struct.Struct("!HHHH")
_LINK = bytes(12)  # both hardware addresses; neither is a group address


def frame(source: Address, destination: Address, ports: tuple[int, int], payload: bytes) -> bytes:
    """A frame from ``source`` to ``destination``, which have the same IP version. Both checksums are filled in."""
    length = _UDP_HEADER.size + len(payload)
    addresses = source.packed + destination.packed
    header = _UDP_HEADER.pack(*ports, length, 0) + payload
    check = checksum(addresses + struct.pack("!II", length, _UDP) + header) or 0xFFFF
    datagram = header[:6] + struct.pack("!H", check) + payload
    if source.version == 6:
        return _LINK + struct.pack("!HIHBB", 0x86DD, 6 << 28, length, _UDP, _HOPS) + addresses + datagram
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, _HOPS, _UDP, 0) + addresses
    return _LINK + struct.pack("!H", 0x0800) + ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + datagram


def payload(answer: bytes, version: int) -> bytes:
    """The UDP payload of a frame that :func:`frame` made."""
    return answer[14 + (40 if version == 6 else 20) + _UDP_HEADER.size :]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    even = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(even) // 2}H", even))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
