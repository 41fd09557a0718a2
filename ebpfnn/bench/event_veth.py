"""Rows at a pair of interfaces in a network of their own: XDP programs, and a packet socket that C in user space reads."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ..errors import KernelError, NotSupported
from ..kernel import Program, XdpMode, attach_xdp
from .event_rows import VETH, EventRunner
from .event_user import User, library

HERE, THERE = "here", "there"
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_IPV4 = 0x0800
_BATCH, _BATCHES = 64, 200  # of flow_user.c
_LARGEST_LOSS = 0.05
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """A network namespace with the interfaces "here" and "there". ``held`` removes it.

    Raises :class:`NotSupported` without iproute2, and if the kernel or the privileges of this process do not allow it.
    """

    def __init__(self, held: ExitStack) -> None:
        if shutil.which("ip") is None:
            raise NotSupported("iproute2 is not installed; apt-get install iproute2")
        self._name = f"ebpfnn-bench-{os.getpid()}"
        _ip("netns", "add", self._name)
        held.callback(_ip, "netns", "del", self._name)
        _ip("-n", self._name, "link", "add", HERE, "type", "veth", "peer", "name", THERE)
        for interface in (HERE, THERE):
            _ip("-n", self._name, "link", "set", interface, "up")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is in it meanwhile."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            inside = os.open(f"/run/netns/{self._name}", os.O_RDONLY)
            try:
                _enter(inside)
            finally:
                os.close(inside)
            try:
                yield
            finally:
                _enter(before)
        finally:
            os.close(before)

    def packet_socket(self, interface: str, ethertype: int, held: ExitStack) -> socket.socket:
        """A packet socket bound to ``interface``; it receives nothing for ``ethertype`` 0."""
        with self.inside():
            found = held.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype)))
            found.bind((interface, ethertype))
        return found


class VethRunner(EventRunner):
    """Frames that are sent at "there", and handled at "here": by ``program``, or by ``user`` behind a packet socket.

    Sending them is part of the time, as it is of the row of the empty program.
    """

    base = VETH

    def __init__(
        self, name: str, told: str, network: Network, sender: socket.socket, frame: bytes, program: Program, user: User | None
    ) -> None:
        self.name, self.told = name, told
        self._network, self._sender, self._program, self._user = network, sender, program, user
        self._frame = ctypes.create_string_buffer(frame, len(frame))

    def warm(self) -> float:
        with ExitStack() as held:
            with self._network.inside():
                held.enter_context(attach_xdp(self._program, HERE, XdpMode.SKB))
            receiver = self._network.packet_socket(HERE, _IPV4, held) if self._user else None
            self._send(receiver, 2)
            return self._send(receiver, _BATCHES)

    def _send(self, receiver: socket.socket | None, batches: int) -> float:
        user, count = self._user, _BATCH * batches
        before, fd = user.packets if user else 0, receiver.fileno() if receiver else -1
        arguments = (self._sender.fileno(), fd, self._frame, len(self._frame), batches)
        elapsed = library().socket_run(user.place if user else None, *arguments)
        if not elapsed or (user and user.packets - before < (1 - _LARGEST_LOSS) * count):
            raise KernelError(
                f"row '{self.name}': packets were lost or refused at a veth; try again on a machine with less to do"
            )
        return float(elapsed) / _BATCH


def _ip(*arguments: str) -> None:
    ran = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        reason = ran.stderr.strip().partition("\n")[0]
        raise NotSupported(f"`ip {' '.join(arguments)}` failed ({reason}); run as root, on a kernel with veth")


def _enter(fd: int) -> None:
    if _libc.setns(fd, _NEW_NETWORK):
        error = ctypes.get_errno()
        raise KernelError(f"cannot enter a network namespace ({os.strerror(error)}); run as root", error)
