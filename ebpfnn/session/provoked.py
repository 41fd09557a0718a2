"""Made-up events by which a network is checked before it observes real ones: frames, and the contexts of thread events.

They are the same at every call. Where they can, they meet the conditions of the spec.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from ..events.bound import Bound, BoundCondition, BoundEvent
from ..events.fields import Field, Place

CONTEXT = 96
"""The bytes of a context: 12 words, which BPF_PROG_RUN gives to a raw tracepoint."""
_FEWEST, _MOST = 256, 4096
_FLOWS, _FIRST_TIME = 3, 1 << 40
_GAPS = (0, 700, 30_000, 900_000, 40_000_000, 2_000_000_000)
_TCP, _UDP, _ICMP, _IPV4, _IPV6 = 6, 17, 1, 0x0800, 0x86DD
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_VALUES = (0, 1, 2, 3, 5, 64, 4096)


@dataclass(frozen=True)
class Provoked:
    """Event number ``event`` of the spec at ``time`` (ns): a frame with an Ethernet header, or a context."""

    event: int
    time: int
    data: bytes


def provoked(bound: Bound, packets: Sequence[bool]) -> Iterator[Provoked]:
    """The events, some hundreds. ``packets`` says of each event of the spec whether it is one of packets."""
    chance, time = random.Random(1), _FIRST_TIME  # noqa: S311  # it must be the same every time
    for _ in range(_count(bound)):
        index = chance.randrange(len(bound.events))
        time += chance.choice(_GAPS)
        event = bound.events[index]
        yield Provoked(index, time, _frame(event, chance) if packets[index] else _context(event, chance))


def _count(bound: Bound) -> int:
    """Enough events for some rows of one key, if rows come after so many events."""
    at = bound.spec.at
    first = min((*at.count, at.every or 1), default=1)
    return min(max(_FEWEST, 8 * _FLOWS * first), _MOST)


@dataclass
class _Packet:
    version: int = 4
    protocol: int = _TCP
    source: int = 0
    destination: int = 0
    source_port: int = 0
    destination_port: int = 0
    tcp_flags: int = _ACK
    payload: int = 0
    hops: int = 64
    service: int = 0
    own: dict[str, int] = field(default_factory=dict)


def _frame(event: BoundEvent, chance: random.Random) -> bytes:
    flow, forth = chance.randrange(_FLOWS), chance.random() < 0.6
    ends = [(0x0A000001 + flow, 40_000 + flow), (0x0A000101, (443, 53, 80)[flow])]
    (source, source_port), (destination, destination_port) = ends if forth else reversed(ends)
    flags = chance.choices((_ACK, _ACK | 8, _SYN, _FIN | _ACK, _RST), (20, 10, 2, 1, 1))[0]
    packet = _Packet(
        6 if chance.random() < 0.1 else 4,
        (_TCP, _UDP, _TCP)[flow] if chance.random() < 0.95 else _ICMP,
        source,
        destination,
        source_port,
        destination_port,
        flags,
        chance.choice((0, 1, 40, 512, 1200)),
        chance.choice((1, 63, 64, 128)),
    )
    for condition in event.where:
        _meet_packet(packet, condition, chance)
    return _encoded(packet)


def _meet_packet(packet: _Packet, condition: BoundCondition, chance: random.Random) -> None:
    name = getattr(condition.sources[0], "name", "")
    if isinstance(condition.sources[0], Field) and name in vars(packet):
        setattr(packet, name, _met(getattr(packet, name), condition, chance))


def _met(value: int, condition: BoundCondition, chance: random.Random) -> int:
    """``value``, or one that meets the condition if that can be told."""
    first = condition.values[0]
    match condition.operator:
        case "==" | ">=" | "<=":
            return first
        case ">":
            return first + 1
        case "<":
            return max(first - 1, 0)
        case "&":
            return value | first
        case "!&":
            return value & ~first
        case "in":
            return first | chance.choice((1, 2, 3)) & ~condition.values[1]
    return value


def _encoded(packet: _Packet) -> bytes:
    ports = struct.pack(">HH", packet.source_port & 0xFFFF, packet.destination_port & 0xFFFF)
    data = bytes(packet.payload)
    match packet.protocol:
        case 6:
            transport = ports + struct.pack(">IIBBHHH", 1, 1, 5 << 4, packet.tcp_flags & 0xFF, 4096, 0, 0)
        case 17:
            transport = ports + struct.pack(">HH", 8 + len(data), 0)
        case _:
            transport = struct.pack(">BBHI", 8, 0, 0, 1)
    body = transport + data
    link = b"\x02\0\0\0\0\1\x02\0\0\0\0\2"
    if packet.version == 6:
        source, destination = (IPv6Address(0xFD << 120 | end).packed for end in (packet.source, packet.destination))
        head = struct.pack(">IHBB", 6 << 28, len(body), packet.protocol & 0xFF, packet.hops & 0xFF) + source + destination
        return link + struct.pack(">H", _IPV6) + head + body
    fixed = struct.pack(
        ">BBHHHBBH", 0x45, packet.service & 0xFF, 20 + len(body), 1, 0, packet.hops & 0xFF, packet.protocol & 0xFF, 0
    )
    ends = b"".join(IPv4Address(end & 0xFFFFFFFF).packed for end in (packet.source, packet.destination))
    return link + struct.pack(">H", _IPV4) + fixed + ends + body


def _context(event: BoundEvent, chance: random.Random) -> bytes:
    data = bytearray(CONTEXT)
    conditions = {getattr(each.sources[0], "name", ""): each for each in event.where}
    for each in event.fields.values():
        if each.place is not Place.CONTEXT or each.offset + each.size > CONTEXT:
            continue
        value = chance.choice(_VALUES) if chance.random() < 0.9 else chance.getrandbits(8 * each.size)
        if each.name in conditions:
            value = _met(value, conditions[each.name], chance)
        data[each.offset : each.offset + each.size] = (value & (1 << 8 * each.size) - 1).to_bytes(each.size, "little")
    return bytes(data)
