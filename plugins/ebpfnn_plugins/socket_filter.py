"""The ``socket_filter`` trigger: requests that a packet socket on an interface receives."""

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
    """The socket. The filter is removed when it is closed, since the kernel has no link for it."""

    def pin(self, path: Path) -> None:
        raise NotSupported(f"pin '{path}': {self.name} is a socket of this process and ends with it; keep the process running")


class SocketFilterTrigger(WatchingTrigger):
    """The target is an interface. A packet socket on it receives copies of incoming packets; the filter keeps none of them."""

    name = "socket_filter"
    summary = "UDP requests that come in at an interface, seen by a packet socket's filter; they are passed on"
    program_type = ProgramType.SOCKET_FILTER
    capabilities = ("CAP_PERFMON", "CAP_NET_RAW")

    def observing_entry(self) -> str:
        return "ebpfnn_socket_events"

    def link(self, program: Program, target: str) -> Link:
        index = interface_index(target)
        try:
            # Without a protocol the socket receives nothing until it is bound, so the filter is in place first.
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
