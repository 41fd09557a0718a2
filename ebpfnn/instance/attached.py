"""Whether an instance's program still hangs where it was attached: an interface can go, or a cgroup."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from ..errors import DetachedError
from ..kernel import Link
from ..kernel.link.interface import network_namespace
from ..kernel.link.link_info import LinkInfo
from .about import About
from .locks import telling

LINK = "link"
"""The pin of the attachment: absent where the kernel has none, a directory where there is one a CPU."""


def check_attached(path: Path, about: About) -> None:
    """Raises :class:`DetachedError` where the instance at ``path`` is attached no more."""
    if not is_attached(path, about):
        where = f"{about.trigger} '{about.target}'"
        fact = f"instance '{path.name}' is detached: {where} no longer exists, or the program was detached by force"
        raise DetachedError(f"{fact}; unload it (`ebpfnn unload {path.name}`) and load it again")


def is_attached(path: Path, about: About) -> bool:
    """Whether the instance at ``path`` is attached still, as far as the kernel tells.

    An interface that was made anew under its name is another one. Where a process holds the attachment, the interface is
    looked for, by its index, in the network namespace that it was attached in; from others it counts as there.
    """
    if about.interface is not None:
        *namespace, index = about.interface
        return tuple(namespace) != network_namespace() or _is_interface(index)
    return all(info.is_attached for info in _links(path / LINK))


def _links(pin: Path) -> Iterator[LinkInfo]:
    """What the kernel says of each link that is pinned: of none where nothing is attached, as by BPF_PROG_RUN."""
    with telling(pin):
        pins = list(pin.iterdir()) if pin.is_dir() else [pin] if pin.exists() else []
    for each in pins:
        with Link.open(each) as link:
            yield link.info()


def _is_interface(index: int) -> bool:
    try:
        return bool(socket.if_indextoname(index))
    except OSError:
        return False
