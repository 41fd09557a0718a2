"""Frames made and read without ebpfnn's own code for that."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address

HERE, THERE = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
CLIENT, SERVER = {4: "10.1.2.3", 6: "fd00:1::1234:5678:9abc:def0"}, {4: "10.1.2.4", 6: "fd00:1::1"}
CLIENT_PORT, SERVER_PORT = 50123, 4242


@dataclass
class Frame:
    """What a frame says; ``intact`` tells whether both checksums are right, ``check`` is UDP's."""

    link: bytes
    vlans: bytes
    source: str
    destination: str
    ports: tuple[int, int]
    payload: bytes
    check: int
    intact: bool


def ones(data: bytes) -> int:
    """The sum of 16-bit words in ones' complement; of what a right checksum is in, 0xffff."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo(source: str, destination: str, length: int) -> bytes:
    return ip_address(source).packed + ip_address(destination).packed + length.to_bytes(4, "big") + b"\0\0\0\x11"


def build(
    payload: bytes,
    version: int = 4,
    vlans: int = 0,
    checksum: str = "full",
    port: int = SERVER_PORT,
    hops: int = 61,
    *,
    source: str = "",
    destination: str = "",
    link: bytes = HERE + THERE,
) -> bytes:
    """A request's frame. ``checksum`` is full, none, or partial: what a kernel leaves for hardware to complete.

    ``link`` is both hardware addresses, the receiver's first.
    """
    source, destination = source or CLIENT[version], destination or SERVER[version]
    length = 8 + len(payload)
    covered = pseudo(source, destination, length)
    udp = struct.pack("!HHHH", CLIENT_PORT, port, length, 0) + payload
    check = {"full": ~ones(covered + udp) & 0xFFFF or 0xFFFF, "none": 0, "partial": ones(covered)}[checksum]
    udp = udp[:6] + check.to_bytes(2, "big") + payload
    tags = b"\x81\x00\x00\x05" if vlans == 1 else b"\x88\xa8\x00\x07\x81\x00\x00\x05" if vlans else b""
    addresses = ip_address(source).packed + ip_address(destination).packed
    if version == 6:
        return link + tags + b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, length, 17, hops) + addresses + udp
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0x1234, 0x4000, hops, 17, 0) + addresses
    ip = ip[:10] + (~ones(ip) & 0xFFFF).to_bytes(2, "big") + ip[12:]
    return link + tags + b"\x08\x00" + ip + udp


def udp_at(frame: bytes) -> int:
    """Where the UDP header is."""
    at = 12
    while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return at + 2 + (40 if frame[at : at + 2] == b"\x86\xdd" else 20)


def read(frame: bytes) -> Frame:
    at = udp_at(frame)
    wide = frame[at - 40] >> 4 == 6 and at >= 54
    size = 16 if wide else 4
    source, destination = (str(ip_address(frame[at - n * size :][:size])) for n in (2, 1))
    one, other, length, check = struct.unpack_from("!HHHH", frame, at)
    datagram = frame[at : at + length]
    intact = ones(pseudo(source, destination, length) + datagram) == 0xFFFF and (wide or ones(frame[at - 20 : at]) == 0xFFFF)
    tags = frame[12 : at - (40 if wide else 20) - 2]
    return Frame(frame[:12], tags, source, destination, (one, other), datagram[8:], check, intact)
