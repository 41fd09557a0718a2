"""A network of this process alone: a namespace with a veth pair and nothing else in it."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
ETHERTYPE = 0x88B5  # for local experiments (IEEE 802): nobody else sends it


@contextmanager
def namespace() -> Iterator[str]:
    """The calling thread is in a new namespace with ``here`` and ``there``, both up, and ``lo``. Yields its name."""
    if shutil.which("ip") is None:
        pytest.skip("iproute2 (ip) is not installed")
    name = f"test-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "add", "here", "type", "veth", "peer", "name", "there")
        for interface in ("lo", "here", "there"):
            run("ip", "-n", name, "link", "set", interface, "up")
        with inside(f"/run/netns/{name}"):
            yield name
    finally:
        run("ip", "netns", "del", name)


def send(number: int, ethertype: int = ETHERTYPE, interface: str = "there") -> None:
    """Sends one frame out of ``there``, so that it comes in at ``here``; ``number`` is the first byte behind its header."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((interface, 0))
        sender.send(b"\xff" * 6 + b"\x02\0\0\0\0\1" + ethertype.to_bytes(2, "big") + bytes([number]) + bytes(60))


def run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@contextmanager
def inside(path: str) -> Iterator[None]:
    """The calling thread is in the network namespace at ``path``."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    inside = os.open(path, os.O_RDONLY)
    try:
        _enter(inside)
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(inside)
        os.close(before)


def _enter(fd: int) -> None:
    assert _libc.setns(fd, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


@contextmanager
def pair() -> Iterator[tuple[str, str]]:
    """Two namespaces with a veth pair between them: ``here``, 10.77.0.1, in which the thread is, and ``there``, 10.77.0.2.

    Yields the paths of both.
    """
    with namespace() as name:
        other = f"{name}-other"
        run("ip", "netns", "add", other)
        try:
            run("ip", "-n", name, "link", "set", "there", "netns", other)
            for where, interface, number in ((name, "here", 1), (other, "there", 2)):
                run("ip", "-n", where, "addr", "add", f"10.77.0.{number}/24", "dev", interface)
                run("ip", "-n", where, "link", "set", interface, "up")
            run("ip", "-n", other, "link", "set", "lo", "up")
            yield f"/run/netns/{name}", f"/run/netns/{other}"
        finally:
            run("ip", "netns", "del", other)
