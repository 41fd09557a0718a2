"""Whether an instance's program is still attached: an interface or a cgroup can be removed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from ..errors import DetachedError
from ..kernel import Link
from ..kernel.link.interface import network_namespace
from ..kernel.link.link_info import LinkInfo
from .about import About
from .guarded import has_cgroup
from .links import pins_of_links


def check_attached(path: Path, about: About) -> None:
    """Raises :class:`DetachedError` if the instance at ``path`` is no longer attached. A guard's cgroup need not be there."""
    if not _is_linked(path, about):
        where = f"{about.trigger} '{about.target}'"
        fact = f"instance '{path.name}' is detached: {where} no longer exists, or the program was detached by force"
        raise DetachedError(f"{fact}; unload it (`ebpfnn unload {path.name}`) and load it again")


def is_attached(path: Path, about: About) -> bool:
    """Whether the instance at ``path`` is still attached, as far as the kernel tells, and its guard's cgroup still there.

    An interface that was created again under the same name is another interface. If a process holds the attachment, the
    interface is looked up by its index in the network namespace where it was attached. From another network namespace, it is
    assumed to exist.
    """
    return _is_linked(path, about) and has_cgroup(about.guard)


def _is_linked(path: Path, about: About) -> bool:
    if about.interface is not None:
        *namespace, index = about.interface
        return tuple(namespace) != network_namespace() or _is_interface(index)
    return all(info.is_attached for info in _links(path))


def _links(path: Path) -> Iterator[LinkInfo]:
    """The kernel's information on each pinned link. Empty if nothing is attached, as with BPF_PROG_RUN."""
    for each in pins_of_links(path):
        with Link.open(each) as link:
            yield link.info()


def _is_interface(index: int) -> bool:
    try:
        return bool(socket.if_indextoname(index))
    except OSError:
        return False
