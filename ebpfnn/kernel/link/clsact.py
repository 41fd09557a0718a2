"""Traffic control by the clsact qdisc, for kernels without tcx. Netlink is pyroute2's; it is imported as it is needed."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from ...errors import KernelError, NotSupported
from ..load.program import Program
from .interface import interface_index
from .link import HeldLink, duplicate

_INGRESS, _EGRESS = "ffff:fff2", "ffff:fff3"  # TC_H_CLSACT and TC_H_MIN_INGRESS, TC_H_MIN_EGRESS
_ANY_PROTOCOL = 3  # ETH_P_ALL


def attach_clsact(
    program: Program, interface: str | int, *, egress: bool = False, priority: int = 1, handle: int = 1
) -> HeldLink:
    """Attaches to received or sent packets, as a direct-action filter; closing removes the filter.

    The qdisc is created if there is none, and then removed with the last filter. It belongs to the current network namespace.
    Raises :class:`~ebpfnn.errors.NotSupported` without pyroute2, else KernelError.
    """
    what = f"tc {'egress' if egress else 'ingress'} filter on interface '{interface}'"
    index, parent = interface_index(interface), _EGRESS if egress else _INGRESS
    place = {"parent": parent, "prio": priority, "handle": handle, "protocol": _ANY_PROTOCOL}
    with ExitStack() as stack:
        held = stack.enter_context(duplicate(program, what))  # first: nothing stays attached for want of a descriptor
        link = stack.enter_context(_netlink(what))
        made = _make_qdisc(link, index)
        try:
            link.tc("add-filter", "bpf", index, fd=program.fileno(), name=program.name, direct_action=True, **place)
        except BaseException:
            _remove(link, index, {}, made)
            raise
        own = held.release()

    def undo() -> None:
        with _netlink(what) as link:
            _remove(link, index, place, made)

    return HeldLink(own, what, undo, index)


def _make_qdisc(link: Any, index: int) -> bool:
    """Whether there was none before."""
    if any(each.get_attr("TCA_KIND") == "clsact" for each in link.get_qdiscs(index)):
        return False
    link.tc("add", "clsact", index)
    return True


def _remove(link: Any, index: int, place: dict[str, Any], made: bool) -> None:
    """Removes the filter, and the qdisc where it was ``made`` here and nothing else uses it; gone interfaces are fine."""
    with suppress(_netlink_error()):
        if place:
            link.tc("del-filter", "bpf", index, **place)
        if made and not any(link.get_filters(index, parent=_number(parent)) for parent in (_INGRESS, _EGRESS)):
            link.tc("del", "clsact", index)


def _number(parent: str) -> int:
    major, minor = parent.split(":")
    return int(major, 16) << 16 | int(minor, 16)


@contextmanager
def _netlink(what: str) -> Iterator[Any]:
    try:
        from pyroute2 import IPRoute
    except ImportError:
        raise NotSupported(f"{what}: clsact needs pyroute2; pip install 'ebpfnn[net]', or use tcx on Linux 6.6") from None
    with IPRoute() as link:
        try:
            yield link
        except _netlink_error() as fault:
            code = int(fault.code)
            remedy = "choose another priority or handle" if code == errno.EEXIST else "`tc filter show dev` shows what is there"
            raise KernelError(f"{what}: netlink refused with {KernelError.describe(code)}; {remedy}", code) from None


def _netlink_error() -> type[Any]:
    from pyroute2.netlink.exceptions import NetlinkError

    error: type[Any] = NetlinkError
    return error
