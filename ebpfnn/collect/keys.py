"""The key of a row as text, which says what it is: ``10.0.0.1:443-10.0.0.2:50000/tcp``, ``source=10.0.0.1``, ``tgid=5 uid=0``.

``-`` joins the two ends of a connection, ``>`` stands between a source and its destination. A port of an IPv6 address stands
behind brackets. Text is in double quotes, as in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType

from ..errors import InputError
from ..events import Field
from ..events.bound import Bound

Value = int | str | IPv4Address | IPv6Address
Parts = Mapping[str, tuple[Value, ...]]
"""What rules compare: the values by name. ``address`` and ``port`` have those of both ends."""
PROTOCOLS: Mapping[str, int] = MappingProxyType({"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132})
"""The names of protocols (IANA, Assigned Internet Protocol Numbers)."""
FLOW, DIRECTED, SOURCE, DESTINATION = "flow", "flow.directed", "source", "destination"
_NAMES = {number: name for name, number in PROTOCOLS.items()}
_MAPPED, _LOW = 0xFFFF << 32, (1 << 64) - 1
_END = r"(?:\[([0-9a-f:.]+)\]|([0-9.]+)):([0-9]+)"
_FLOW = re.compile(rf"{_END}([->]){_END}/(\w+)", re.ASCII)
_PART = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s"]+)(?: |$)', re.ASCII)
_COMM, _REST, _TEXT, _ADDRESS = "comm", "comm_rest", "text", "address"
_CACHED = 1 << 16


def writer(bound: Bound) -> Callable[[bytes], str]:
    """A function from the bytes of a key to its text. It remembers the latest keys."""
    key = bound.spec.key
    if key in (FLOW, DIRECTED):
        return lru_cache(_CACHED)(lambda data: _flow(data, ">" if key == DIRECTED else "-"))
    if isinstance(key, str):
        return lru_cache(_CACHED)(lambda data: f"{key}={_address(data[:16])}")
    fields = bound.events[0].key
    return lru_cache(_CACHED)(lambda data: _fields(data, fields))


@lru_cache(_CACHED)
def parse(text: str) -> Parts:
    """The parts of a key. Raises :class:`InputError` for text that :func:`writer` does not write."""
    if found := _FLOW.fullmatch(text):
        return _parts_of_flow(text, found)
    parts: dict[str, tuple[Value, ...]] = {}
    at = 0
    while at < len(text) and (part := _PART.match(text, at)):
        parts[part[1]] = (_value(part[2], text),)
        at = part.end()
    if at < len(text) or not parts:
        raise InputError(f"key {text!r} is not one that ebpfnn collect writes; give a file of its own")
    addresses = tuple(value for (value,) in parts.values() if isinstance(value, (IPv4Address, IPv6Address)))
    return {"address": addresses, **parts} if addresses else parts


def _flow(data: bytes, between: str) -> str:
    """Ends as address, address, port, port: docs/events.md, Keys."""
    one, other = (int.from_bytes(data[at : at + 2], "little") for at in (32, 34))
    number = data[36]
    return f"{_end(data[:16], one)}{between}{_end(data[16:32], other)}/{_NAMES.get(number, number)}"


def _end(data: bytes, port: int) -> str:
    address = _address(data)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _address(data: bytes) -> IPv4Address | IPv6Address:
    """16 bytes: the last 64 bits, then the first."""
    number = int.from_bytes(data, "little")
    low, high = number & _LOW, number >> 64
    if not high and low >> 32 == _MAPPED >> 32:
        return IPv4Address(low & 0xFFFFFFFF)
    return IPv6Address(high << 64 | low)


def _fields(data: bytes, fields: Sequence[Field]) -> str:
    values: dict[str, tuple[Field, bytes]] = {}
    at = 0
    for field in fields:
        values[field.name] = (field, data[at : at + field.size])
        at += field.size
    if {_COMM, _REST} <= values.keys():
        field, first = values[_COMM]
        values[_COMM] = (field, first + values.pop(_REST)[1])
    return " ".join(f"{name}={_shown(*value)}" for name, value in values.items())


def _shown(field: Field, data: bytes) -> str:
    if field.unit == _TEXT:
        return json.dumps(data.split(b"\0")[0].decode(errors="backslashreplace"))
    number = int.from_bytes(data, "little", signed=field.signed)
    if field.unit == _ADDRESS:
        return str(IPv4Address(number)) if field.size == 4 else hex(number)
    return str(number)


def _parts_of_flow(text: str, found: re.Match[str]) -> Parts:
    six, four, port, between, other_six, other_four, other_port, protocol = found.groups()
    try:
        one, other = ip_address(six or four), ip_address(other_six or other_four)
        number = PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)
    except ValueError:
        raise InputError(f"key {text!r} has no two addresses and a protocol; give a file of ebpfnn collect") from None
    ports = (int(port), int(other_port))
    parts: dict[str, tuple[Value, ...]] = {"address": (one, other), "port": ports, "protocol": (number,)}
    if between == ">":
        parts |= {"source": (one,), "destination": (other,), "source_port": ports[:1], "destination_port": ports[1:]}
    return parts


def _value(text: str, key: str) -> Value:
    try:
        if text.startswith('"'):
            return str(json.loads(text))
        if text.startswith("0x"):
            return int(text, 16)
        return int(text) if text.lstrip("-").isdecimal() else ip_address(text)
    except ValueError:
        raise InputError(f"key {key!r}: {text!r} is no number, address or text; give a file of ebpfnn collect") from None
