"""Packets for the hooks' shells, and what their fields are: by tests/support/fieldoracle.py, which is written from the RFCs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from random import Random

from eventframes import ethernet, extension, fragmented, icmp, ipv4, ipv6, sctp
from fieldoracle import NAMES, Oracle

__all__ = ["HOOKS", "NAMES", "TYPES", "fields", "some"]


@dataclass(frozen=True)
class Hook:
    """A program of a shell, the direction of its packets, whether it sees Ethernet's header, and what it returns."""

    shell: str
    program: str
    direction: int
    link: bool
    returned: int


HOOKS = {
    "xdp": Hook("xdp_events", "ebpfnn_xdp_events", 1, True, 2),
    "tc": Hook("tc_events", "ebpfnn_tc_ingress", 1, True, 0xFFFFFFFF),
    "cgroup-skb": Hook("cgroup_skb_events", "ebpfnn_cgroup_ingress", 1, False, 1),
    "socket-filter": Hook("socket_filter_events", "ebpfnn_socket_events", 1, False, 0),
    "tc egress": Hook("tc_events", "ebpfnn_tc_egress", 2, True, 0xFFFFFFFF),
    "cgroup-skb egress": Hook("cgroup_skb_events", "ebpfnn_cgroup_egress", 2, False, 1),
}
_BITS = {
    **dict.fromkeys(("source_high", "source_low", "destination_high", "destination_low", "time"), "u64"),
    **dict.fromkeys(
        ("source", "destination", "interface", "length", "network_length", "payload", "option_kinds", "cpu"), "u32"
    ),
    **dict.fromkeys(("ethertype", "vlan", "vlan_inner", "link_header", "network_header", "transport_header"), "u16"),
    **dict.fromkeys(("source_port", "destination_port", "tcp_window"), "u16"),
}
TYPES = {name: _BITS.get(name, "u8") for name in ("time", *NAMES)}
"""The types of a packet's fields; the CPU is left out."""


def fields(frame: bytes, hook: str) -> dict[str, int]:
    """All but time and CPU."""
    at = HOOKS[hook]
    ethertype = None if at.link else int.from_bytes(frame[12:14], "big")
    return Oracle(frame if at.link else frame[14:], ethertype, direction=at.direction).fields


def some(random: Random, count: int) -> list[bytes]:
    """Frames among few ends: both directions of connections, flags, fragments, tags, and what is not IP."""
    ends = [_End.any(random) for _ in range(random.choice([1, 2, 3, 8]))]
    return [_frame(random, random.choice(ends), random.choice(ends)) for _ in range(count)]


@dataclass(frozen=True)
class _End:
    four: bytes
    six: bytes
    port: int

    @classmethod
    def any(cls, random: Random) -> _End:
        four = random.choice([bytes([10, 0, 0, random.randrange(4)]), random.randbytes(4), b"\xff" * 4, bytes(4)])
        mapped = bytes(10) + b"\xff\xff" + four  # the same key as the IPv4 address
        six = random.choice(
            [bytes.fromhex("20010db8") + bytes(11) + random.randbytes(1), mapped, random.randbytes(16), bytes(16)]
        )
        return cls(four, six, random.choice([53, 443, 80, 0, 65535, 256, 1]))


def _frame(random: Random, source: _End, destination: _End) -> bytes:
    kind = random.random()
    if kind < 0.06:
        return ethernet(random.choice([0x0806, 0x88CC, 0x0800, 0x86DD]), random.randbytes(random.randrange(46, 80)))
    protocol, behind = _transport(random, source.port, destination.port)
    ip, ethertype = (_ip4, 0x0800) if kind < 0.6 else (_ip6, 0x86DD)
    tags = [
        (random.choice([0x8100, 0x88A8]), random.choice([0, 5, 4095, 0xE001])) for _ in range(random.choice([0, 0, 0, 1, 2, 3]))
    ]
    return ethernet(ethertype, ip(random, source, destination, protocol, behind), tags)


def _transport(random: Random, source: int, destination: int) -> tuple[int, bytes]:
    payload = bytes(random.choice([0, 1, 30, 200, 1000, random.randrange(1200)]))
    ports, kind = struct.pack("!HH", source, destination), random.random()
    if kind < 0.6:
        flags = random.choice([0x02, 0x10, 0x12, 0x11, 0x14, 0x18, 0x01, 0x04, 0, 255, random.randrange(256)])
        words = random.choice([5, 5, 5, 8, 11, 4, 15])
        rest = struct.pack("!IIBBHHH", 7, 8, words << 4, flags, random.choice([0, 64240, 65535]), 0, 0)
        return 6, ports + rest + bytes(4 * max(0, words - 5)) + payload
    if kind < 0.8:
        return random.choice([17, 136]), ports + struct.pack("!HH", 8 + len(payload), 0) + payload
    if kind < 0.9:
        return random.choice([1, 58]), icmp(random.choice([0, 8, 128, 255]), random.choice([0, 3, 255]), payload)
    return random.choice([(132, sctp(payload)), (50, payload + bytes(8)), (59, payload)])


def _ip4(random: Random, source: _End, destination: _End, protocol: int, behind: bytes) -> bytes:
    options = random.choice([b"", b"", b"", bytes([148, 4, 0, 0]), b"\1" * 20])
    made = ipv4(
        protocol, behind, options, fragment=random.choice([0x4000, 0x4000, 0, 0x2000, 0x2003]), hops=random.choice([1, 64, 255])
    )
    return made[:12] + source.four + destination.four + made[20:]


def _ip6(random: Random, source: _End, destination: _End, protocol: int, behind: bytes) -> bytes:
    kind = random.random()
    if kind < 0.15:
        behind, protocol = extension(protocol, 1) + behind, 0
    elif kind < 0.25:
        behind, protocol = fragmented(protocol, random.choice([0, 3]), more=True) + behind, 44
    made = ipv6(protocol, behind)
    return made[:8] + source.six + destination.six + made[40:]
