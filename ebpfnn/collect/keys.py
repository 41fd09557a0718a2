"""The key of a row as text, which says what it is: ``10.0.0.1:443-10.0.0.2:50000/tcp``, ``source=10.0.0.1``, ``tgid=5 uid=0``.

``-`` joins the two ends of a connection, ``>`` stands between a source and its destination. A port of an IPv6 address stands
behind brackets. Text is in double quotes, as in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..errors import InputError
from ..events import keyparts
from ..events.bound import Bound

Value = int | str | IPv4Address | IPv6Address
Parts = Mapping[str, tuple[Value, ...]]
"""What rules compare: the values by name. ``address`` and ``port`` have those of both ends."""
PROTOCOLS: Mapping[str, int] = {name: number for number, name in keyparts.PROTOCOLS.items()}
"""The numbers of protocols by name."""
_END = r"(?:\[([0-9a-f:.]+)\]|([0-9.]+)):([0-9]+)"
_FLOW = re.compile(rf"{_END}([->]){_END}/(\w+)", re.ASCII)
_PART = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s"]+)(?: |$)', re.ASCII)
_CACHED = 1 << 16


def writer(bound: Bound) -> Callable[[bytes], str]:
    """A function from the bytes of a key to its text. It remembers the latest keys."""
    key = bound.spec.key
    found = keyparts.parts(key if isinstance(key, str) else bound.events[0].key)
    return lru_cache(_CACHED)(lambda data: keyparts.shown(found, keyparts.decode(found, data)))


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
