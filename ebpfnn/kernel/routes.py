"""The interfaces by which this machine reaches others: those of a default route."""

from __future__ import annotations

import socket
from pathlib import Path

_IPV4, _IPV6 = Path("/proc/thread-self/net/route"), Path("/proc/thread-self/net/ipv6_route")
_LOOPBACK = "lo"


def default_interfaces() -> set[str]:
    """The interfaces with a default route, IPv4 or IPv6, in the network namespace of this thread. Empty if none is known."""
    return {name for name in (*_ipv4(), *_ipv6()) if name != _LOOPBACK}


def has_default_route(target: str) -> bool:
    """Whether ``target`` is one of them, by its name or by another one (``ip link property``)."""
    return _index(target) in set(map(_index, default_interfaces())) - {None}


def _index(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return None


def _ipv4() -> list[str]:
    """Columns: interface, destination, gateway, flags, references, use, metric, mask."""
    rows = [line.split() for line in _lines(_IPV4)[1:]]
    return [row[0] for row in rows if len(row) > 7 and int(row[1], 16) == int(row[7], 16) == 0]


def _ipv6() -> list[str]:
    """Columns: destination, prefix bits, source, prefix bits, next hop, metric, references, use, flags, interface."""
    rows = [line.split() for line in _lines(_IPV6)]
    return [row[9] for row in rows if len(row) > 9 and int(row[0], 16) == int(row[1], 16) == 0]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
