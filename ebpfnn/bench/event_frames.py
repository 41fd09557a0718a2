"""Packets that event shells are run on: Ethernet frames without data of anybody, whose checksums are 0."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ACK = 0x10
_TCP, _UDP, _ICMP = 6, 17, 1
_CLIENT, _SERVER = 0x0A000001, 0x0A000002
_LINK = b"\x02\0\0\0\0\2\x02\0\0\0\0\1"  # locally administered addresses, of no machine


@dataclass(frozen=True)
class Tcp:
    """A TCP packet over IPv4 without options."""

    source: int = _CLIENT
    destination: int = _SERVER
    ports: tuple[int, int] = (40000, 443)
    flags: int = ACK
    payload: int = 100
    window: int = 502
    hops: int = 64

    @property
    def frame(self) -> bytes:
        header = struct.pack("!HHIIBBHHH", *self.ports, 1, 1, 5 << 4, self.flags, self.window, 0, 0)
        return _ipv4(_TCP, header + bytes(self.payload), self.source, self.destination, self.hops)


def candidates() -> Iterator[bytes]:
    """One packet of each kind, the most usual first, in case the conditions of a spec take just some."""
    yield Tcp().frame
    udp = struct.pack("!HHHH", 40000, 53, 108, 0) + bytes(100)
    yield _ipv4(_UDP, udp)
    yield _ipv4(_ICMP, struct.pack("!BBHHH", 8, 0, 0, 1, 1) + bytes(100))
    for protocol, payload in ((_TCP, Tcp().frame[34:]), (_UDP, udp)):
        yield _ipv6(protocol, payload)
    for flags in (1, 2, 4, 0x18):
        yield Tcp(flags=flags).frame
    yield Tcp(payload=0).frame


def _ipv4(protocol: int, data: bytes, source: int = _CLIENT, destination: int = _SERVER, hops: int = 64) -> bytes:
    header = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(data), 0, 0, hops, protocol, 0, source, destination)
    return _LINK + struct.pack("!H", 0x0800) + header + data


def _ipv6(protocol: int, data: bytes) -> bytes:
    addresses = b"\xfd" + bytes(14) + b"\1" + b"\xfd" + bytes(14) + b"\2"
    return _LINK + struct.pack("!HIHBB", 0x86DD, 6 << 28, len(data), protocol, 64) + addresses + data
