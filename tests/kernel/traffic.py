"""Real TCP connections over a veth pair: a server in the calling thread's new namespace, clients in another one."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from netspace import inside, namespace, run

SERVER, CLIENT = "10.9.0.1", "10.9.0.2"


class Traffic:
    """Connections to ``port`` of the server, whose interface is ``here``; the client's is in namespace ``client``."""

    def __init__(self, client: str, port: int) -> None:
        self.client, self.port = client, port

    def is_over(self) -> bool:
        """Whether no connection is open or being closed any more: then the last packet of each has come."""
        if _are_going_on():
            return False
        with inside(f"/run/netns/{self.client}"):
            return not _are_going_on()

    def connections(self, count: int, seed: int = 0, exchanges: int = 6) -> None:
        """One after another; each sends messages of random sizes, and gets one back for each."""
        source = random.Random(seed)
        with inside(f"/run/netns/{self.client}"):
            for _ in range(count):
                with socket.create_connection((SERVER, self.port)) as one:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for _ in range(source.randint(1, exchanges)):
                        back = source.randint(1, 900)
                        size = source.randint(1, 1200)
                        one.sendall(struct.pack("<II", size, back) + bytes(size))
                        _take(one, back)


@contextmanager
def traffic() -> Iterator[Traffic]:
    """The thread, its clients and its server run on one CPU, so that packets of one connection never meet."""
    cpus = os.sched_getaffinity(0)
    with namespace() as server, ExitStack() as held:
        os.sched_setaffinity(0, {min(cpus)})
        held.callback(os.sched_setaffinity, 0, cpus)
        client = f"{server}-client"
        run("ip", "netns", "add", client)
        held.callback(run, "ip", "netns", "del", client)
        run("ip", "link", "set", "there", "netns", client)
        run("ip", "-n", client, "link", "set", "there", "up")
        run("ip", "-n", client, "address", "add", f"{CLIENT}/24", "dev", "there")
        run("ip", "address", "add", f"{SERVER}/24", "dev", "here")
        listener = held.enter_context(socket.create_server((SERVER, 0), backlog=64))
        thread = threading.Thread(target=_serve, args=(listener,), daemon=True)
        thread.start()
        held.callback(thread.join, 10)
        held.callback(listener.shutdown, socket.SHUT_RDWR)
        yield Traffic(client, listener.getsockname()[1])


@contextmanager
def captured(interface: str) -> Iterator[list[tuple[int, bytes]]]:
    """Every frame of ``interface``, sent and received, with the time (ns) at which it was read."""
    found: list[tuple[int, bytes]] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sniffer:
        sniffer.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
        sniffer.bind((interface, 3))
        sniffer.settimeout(0.3)
        over = threading.Event()

        def read() -> None:
            while True:
                try:
                    found.append((time.time_ns(), sniffer.recv(1 << 17)))
                except TimeoutError:
                    if over.is_set():
                        return

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            thread.join()


def _are_going_on() -> bool:
    """Whether this namespace has sockets of other states than TIME_WAIT, CLOSE and LISTEN (include/net/tcp_states.h)."""
    lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[3] not in ("06", "07", "0A") for line in lines)


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            one, _ = listener.accept()
        except OSError:
            return
        with one, suppress(OSError, EOFError):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                size, back = struct.unpack("<II", _take(one, 8))
                _take(one, size)
                one.sendall(bytes(back))


def _take(one: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = one.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)
