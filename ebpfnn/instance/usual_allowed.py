"""Who is never acted on, unless told otherwise: this machine itself, and who is logged in to it by SSH."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from ..events import fields_of
from ..network.events import SPEC
from ..network.model import Model
from ..obj import ObjectSpec
from ..plugin import Plugins

_ESTABLISHED, _LISTENING = 1, 10  # include/net/tcp_states.h
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_SSHD, _USUAL_PORT = "sshd", 22
_CLOSED = -1  # no inode
Address = IPv4Address | IPv6Address


def of_packets(model: Model, plugins: Plugins) -> bool:
    """Whether all events of a model are packets. Threads have no addresses that could be usual ones."""
    shells = {str(event["trigger"]) for event in model.events[SPEC].get("event", ())}
    offered = [fields_of(ObjectSpec.from_file(plugins.trigger(name).events_path())) for name in shells]
    return all(any(field.name == "source" for field in fields) for fields in offered)


def usual() -> tuple[str, ...]:
    """Entries of an allow-list: 127/8 and ::1, and the peers of sshd's established connections now."""
    found = [*_both("127.0.0.0/8"), *_of(IPv6Address("::1"))]
    for peer in sorted(peers(), key=str):
        found += _of(peer)
    return tuple(found)


def peers(proc: Path = Path("/proc")) -> set[Address]:
    """The peers of connections to a port at which a process called sshd listens. Empty where /proc tells none.

    Who lacks CAP_SYS_PTRACE may not see which sockets are sshd's. If there is an sshd, its port is then taken to be 22.
    """
    sockets = list(_sockets(proc))
    own = set(_inodes_of_sshd(proc))
    ports = {port for state, port, _, inode in sockets if state == _LISTENING and inode in own}
    ports |= {_USUAL_PORT} if _CLOSED in own else set()
    return {peer for state, port, peer, _ in sockets if state == _ESTABLISHED and port in ports}


def _both(prefix: str) -> list[str]:
    return [f"{end} in {prefix}" for end in ("source", "destination")]


def _of(address: Address) -> list[str]:
    """Entries for packets from and to ``address``."""
    if isinstance(address, IPv4Address):
        return _both(f"{address}/32")
    high, low = divmod(int(address), 1 << 64)
    return [f"version == 6 and {end}_high == {high} and {end}_low == {low}" for end in ("source", "destination")]


def _sockets(proc: Path) -> Iterator[tuple[int, int, Address, int]]:
    """State, own port, peer and inode of each TCP socket (Documentation/networking/proc_net_tcp.rst)."""
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            (_, port), (peer, _) = words[1].split(":"), words[2].split(":")
            yield int(words[3], 16), int(port, 16), _address(peer), int(words[9])


def _address(text: str) -> Address:
    """Words of 32 bits, each in the byte order of the host."""
    words = [int(text[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(text), 8)]
    packed = b"".join(words)
    if len(packed) == 4:
        return IPv4Address(packed)
    address = IPv6Address(packed)
    return address.ipv4_mapped or address


def _inodes_of_sshd(proc: Path) -> Iterator[int]:
    """Inodes of the sockets of sshd, and :data:`_CLOSED` if some may not be seen."""
    for process in proc.glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() != _SSHD:
                continue
            for descriptor in (process / "fd").iterdir():
                found = _SOCKET.fullmatch(str(descriptor.readlink()))
                if found:
                    yield int(found[1])
        except PermissionError:
            yield _CLOSED
        except OSError:
            continue  # it has ended
