"""The parts of a key: their names, and their values in the bytes of a key. docs/events.md, *Keys*, defines both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from .fields import Field

ADDRESS, IPV4, POINTER, TEXT = "address", "ipv4", "pointer", "text"
"""The types of parts besides those of fields: an address in 16 bytes or in 4, one in memory, and 8 bytes of text."""
_SIZES = {ADDRESS: 16, IPV4: 4, POINTER: 8, TEXT: 8}
_INTEGERS = tuple(f"{sign}{bits}" for sign in "us" for bits in (8, 16, 32, 64))
_BY_UNIT = {("text", "u64"): TEXT, ("address", "u32"): IPV4, ("address", "u64"): POINTER}
_DIRECTED = (
    ("source", ADDRESS),
    ("destination", ADDRESS),
    ("source_port", "u16"),
    ("destination_port", "u16"),
    ("protocol", "u8"),
)
_NAMED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "flow": (("low", ADDRESS), ("high", ADDRESS), ("low_port", "u16"), ("high_port", "u16"), ("protocol", "u8")),
    "flow.directed": _DIRECTED,
    "source": _DIRECTED[:1],
    "destination": _DIRECTED[1:2],
}
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}
"""Names of the usual protocols (IANA, Assigned Internet Protocol Numbers)."""
_FLOW, _DIRECTED_NAMES = (tuple(name for name, _ in _NAMED[key]) for key in ("flow", "flow.directed"))
_COMM, _REST = "comm", "comm_rest"
Values = Mapping[str, int | str]


@dataclass(frozen=True)
class Part:
    """One part of a key. ``type`` is that of a field, ``u8`` to ``s64``, or one of those above."""

    name: str
    type: str

    @property
    def size(self) -> int:
        """Its bytes."""
        return _SIZES.get(self.type) or int(self.type[1:]) // 8


def is_type(name: str) -> bool:
    """Whether it is the type of a part."""
    return name in _SIZES or name in _INTEGERS


def parts(key: str | Sequence[Field]) -> tuple[Part, ...]:
    """The parts of a named key, or of one that is a list of fields."""
    if isinstance(key, str):
        return tuple(Part(*each) for each in _NAMED[key])
    return tuple(Part(field.name, _BY_UNIT.get((field.unit, field.type), field.type)) for field in key)


def decode(parts: Sequence[Part], data: bytes) -> dict[str, int | str]:
    """The values in the bytes of a key. Addresses and texts are strings; both halves of a thread's name are one."""
    values = dict(_decoded(parts, data))
    if {_COMM, _REST} <= values.keys():
        values[_COMM] = f"{values[_COMM]}{values.pop(_REST)}"
    return values


def shown(parts: Sequence[Part], values: Values) -> str:
    """A key on one line, as collected data have it: ``10.0.0.1:443-10.0.0.2:50000/tcp``, ``tgid=5 comm="sh"``."""
    for names, between in ((_FLOW, "-"), (_DIRECTED_NAMES, ">")):
        if tuple(values) == names:
            one, other = (_end(values, name) for name in names[:2])
            number = int(values["protocol"])
            return f"{one}{between}{other}/{PROTOCOLS.get(number, number)}"
    texts = {part.name for part in parts if part.type == TEXT}
    return " ".join(f"{name}={json.dumps(value) if name in texts else value}" for name, value in values.items())


def _end(values: Values, name: str) -> str:
    address, port = str(values[name]), values[f"{name}_port"]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _decoded(parts: Sequence[Part], data: bytes) -> Iterator[tuple[str, int | str]]:
    at = 0
    for part in parts:
        raw = data[at : at + part.size]
        at += part.size
        if part.type == ADDRESS:
            yield part.name, _address(raw)
        elif part.type == IPV4:
            yield part.name, str(IPv4Address(int.from_bytes(raw, "little")))
        elif part.type == POINTER:
            yield part.name, hex(int.from_bytes(raw, "little"))
        elif part.type == TEXT:
            yield part.name, raw.split(b"\0")[0].decode(errors="backslashreplace")
        else:
            yield part.name, int.from_bytes(raw, "little", signed=part.type.startswith("s"))


def _address(raw: bytes) -> str:
    """The last 64 bits come first, so the bytes are those of one number of 128 bits, the least significant one first."""
    address = IPv6Address(int.from_bytes(raw, "little"))
    return str(address.ipv4_mapped or address)
