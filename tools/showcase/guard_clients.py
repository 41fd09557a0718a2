"""Clients of :mod:`guard_server`: honest ones, and slow ones that hold its workers, all from one address.

``guard_clients.py honest|slow SEED SECONDS RATE`` begins RATE connections a second for SECONDS, each of a kind and with
parameters drawn from the seed, and prints a JSON array: ``[port, when, done]`` of every connection, with the seconds since the
start and whether all answers came in time.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from addresses import CLIENT, HTTP, SERVER

PATIENCE = 1.0
"""Seconds that an honest client gives an answer, and a connection."""
SLOW_PORTS = range(30_000, 40_000)
AT_ONCE, MOST_SLOW = 40, 200
"""Slow connections that begin together, and how many there are at most."""

Loop = asyncio.AbstractEventLoop
Kind = Callable[[Loop, socket.socket, Random], Awaitable[None]]


def head(method: str, path: str, *more: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {SERVER}", *more, "", "")).encode()


async def fetch(loop: Loop, to: socket.socket, request: bytes, at_a_time: int = 65_536, pause: float = 0) -> None:
    """Sends a request and reads its answer."""
    await loop.sock_sendall(to, request)
    await response(loop, to, at_a_time, pause)


async def response(loop: Loop, to: socket.socket, at_a_time: int = 65_536, pause: float = 0) -> None:
    got = b""
    while b"\r\n\r\n" not in got:
        got += await more(loop, to, at_a_time)
    told, _, body = got.partition(b"\r\n\r\n")
    left = int(told.rpartition(b": ")[2]) - len(body)
    while left > 0:
        left -= len(await more(loop, to, at_a_time))
        await asyncio.sleep(pause)


async def more(loop: Loop, to: socket.socket, most: int) -> bytes:
    """Raises :class:`OSError` if nothing comes any more."""
    got = await asyncio.wait_for(loop.sock_recv(to, most), PATIENCE)
    if not got:
        raise ConnectionError
    return got


def agent(random: Random) -> str:
    return f"User-Agent: {'x' * random.randint(8, 200)}"


async def get(loop: Loop, to: socket.socket, random: Random) -> None:
    await fetch(loop, to, head("GET", f"/bytes/{random.randint(200, 20_000)}", agent(random)))


async def browse(loop: Loop, to: socket.socket, random: Random) -> None:
    for _ in range(random.randint(2, 6)):
        await get(loop, to, random)
        await asyncio.sleep(random.uniform(0.005, 0.05))


async def chat(loop: Loop, to: socket.socket, random: Random) -> None:
    """Few bytes now and then, for a good reason."""
    for _ in range(random.randint(4, 12)):
        await fetch(loop, to, head("GET", f"/bytes/{random.randint(1, 50)}"))
        await asyncio.sleep(random.uniform(0.05, 0.25))


async def upload(loop: Loop, to: socket.socket, random: Random) -> None:
    """Over a slow line."""
    size, chunk, pause = random.randint(5_000, 40_000), random.randint(300, 1400), random.uniform(0.003, 0.03)
    await loop.sock_sendall(to, head("POST", "/bytes/10", f"Content-Length: {size}"))
    while size > 0:
        await loop.sock_sendall(to, bytes(min(chunk, size)))
        size -= chunk
        await asyncio.sleep(pause)
    await response(loop, to)


async def read_slowly(loop: Loop, to: socket.socket, random: Random) -> None:
    request = head("GET", f"/bytes/{random.randint(30_000, 90_000)}", agent(random))
    await fetch(loop, to, request, random.randint(2_000, 8_000), random.uniform(0.005, 0.02))


HONEST: tuple[tuple[Kind, int], ...] = ((get, 55), (browse, 20), (chat, 10), (upload, 10), (read_slowly, 5))


async def slow_head(loop: Loop, to: socket.socket, random: Random) -> None:
    await loop.sock_sendall(to, head("GET", "/bytes/9", agent(random))[:-2])
    low, longest = random.uniform(0.1, 0.3), random.randint(2, 20)
    while True:
        await asyncio.sleep(random.uniform(low, low + 0.3))
        await loop.sock_sendall(to, f"X-{'a' * random.randint(1, longest)}: b\r\n".encode())


async def slow_body(loop: Loop, to: socket.socket, random: Random) -> None:
    await loop.sock_sendall(to, head("POST", "/bytes/9", agent(random), f"Content-Length: {random.randint(5_000, 500_000)}"))
    low, longest = random.uniform(0.1, 0.3), random.randint(2, 40)
    while True:
        await asyncio.sleep(random.uniform(low, low + 0.3))
        await loop.sock_sendall(to, bytes(random.randint(1, longest)))


async def slow_read(loop: Loop, to: socket.socket, random: Random) -> None:
    await loop.sock_sendall(to, head("GET", f"/bytes/{random.randint(300_000, 900_000)}", agent(random)))
    low, size = random.uniform(0.1, 0.3), random.randint(200, 1000)
    while True:
        await asyncio.sleep(random.uniform(low, low + 0.2))
        await more(loop, to, size)


SLOW: tuple[tuple[Kind, int], ...] = ((slow_head, 40), (slow_body, 40), (slow_read, 20))


class Clients:
    """Those of one process. ``told`` has what is printed."""

    def __init__(self, kinds: tuple[tuple[Kind, int], ...], seed: int, *, slow: bool) -> None:
        self._kinds, self._random, self._slow = kinds, Random(seed), slow
        self._ports = iter(SLOW_PORTS)
        self.told: list[list[float]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float, rate: float) -> None:
        loop, begun = asyncio.get_running_loop(), time.monotonic()
        number = -AT_ONCE if self._slow else 0
        while (now := time.monotonic() - begun) < seconds:
            if number > now * rate or (self._slow and len(self._running) >= MOST_SLOW):
                await asyncio.sleep(0.002)
                continue
            number += 1
            task = loop.create_task(self._one(loop, begun, Random(self._random.random())))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        if not self._slow and self._running:
            await asyncio.wait(self._running, timeout=4)

    async def _one(self, loop: Loop, begun: float, random: Random) -> None:
        (kind,) = random.choices([kind for kind, _ in self._kinds], [weight for _, weight in self._kinds])
        told = [0, time.monotonic() - begun, False]
        self.told.append(told)
        with socket.socket() as to:
            to.setblocking(False)
            if self._slow:
                to.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                told[0] = next(self._ports)
                to.bind((CLIENT, told[0]))
            with suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(loop.sock_connect(to, (SERVER, HTTP)), PATIENCE)
                told[0] = to.getsockname()[1]
                await kind(loop, to, random)
                told[2] = True
            with suppress(OSError):
                told[0] = told[0] or to.getsockname()[1]


def main() -> None:
    what, seed, seconds, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    clients = Clients(SLOW if what == "slow" else HONEST, seed, slow=what == "slow")
    asyncio.new_event_loop().run_until_complete(clients.run(seconds, rate))
    print(json.dumps(clients.told), flush=True)
    os._exit(0)  # what is still slow need not be waited for


if __name__ == "__main__":
    main()
