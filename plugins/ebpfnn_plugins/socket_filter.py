"""The ``socket_filter`` trigger: requests that a packet socket on an interface is shown."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from ebpfnn.errors import KernelError, NotSupported, PermissionDenied
from ebpfnn.kernel import Link, Program, interface_index
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Trigger, hookimpl

from .watched import WatchingTrigger

_SO_ATTACH_BPF = 50
_ALL = 3  # ETH_P_ALL


class SocketLink(Link):
    """The socket, which the filter goes with: there is no link of the kernel's to it."""

    def pin(self, path: Path) -> None:
        raise NotSupported(f"pin '{path}': {self.name} is a socket of this process and ends with it; keep the process running")


class SocketFilterTrigger(WatchingTrigger):
    """The target is an interface, on which a socket of its own is shown what comes in; it keeps nothing of that."""

    name = "socket_filter"
    summary = "UDP requests that come in at an interface, seen by a packet socket's filter; they are passed on"
    program_type = ProgramType.SOCKET_FILTER
    capabilities = ("CAP_PERFMON", "CAP_NET_RAW")

    def link(self, program: Program, target: str) -> Link:
        index = interface_index(target)
        try:
            # Without a protocol it is shown nothing, until it is bound: the filter is there first.
            with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as opened:
                opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, struct.pack("=I", program.fileno()))
                opened.bind((socket.if_indextoname(index), _ALL))
                link = SocketLink(os.dup(opened.fileno()), f"packet socket on '{target}'")
                link.interface = index
                return link
        except PermissionError as refused:
            fact = f"packet socket on '{target}': {refused.strerror}; a security module may stand in the way"
            raise PermissionDenied(fact, refused.errno or 0) from None
        except OSError as refused:
            raise KernelError(f"packet socket on '{target}': {refused.strerror}; is it up?", refused.errno or 0) from None


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [SocketFilterTrigger()]
