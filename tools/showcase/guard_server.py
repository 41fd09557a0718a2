"""A server that can be overloaded: so many connections at a time, and no more wait than its backlog has room for.

``guard_server.py WORKERS`` answers at :data:`addresses.HTTP` until it is ended: a GET of ``/bytes/N``, and a POST once its body
has come. A client that sends nothing, or takes nothing, for a while is left; so a slow one that does a little holds its worker.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress

from addresses import HTTP, SERVER

BACKLOG = 128
SILENT, STUCK = 0.8, 1.5
"""Seconds without a byte from the client, and to it, after which a connection is left."""
_MOST = 1 << 20
_BUFFER = 16_384


async def answer(loop: asyncio.AbstractEventLoop, client: socket.socket) -> None:
    """Answers one request after another until the client goes or is left."""
    rest = b""
    while True:
        while b"\r\n\r\n" not in rest:
            if not (got := await asyncio.wait_for(loop.sock_recv(client, 65_536), SILENT)) or len(rest) > _MOST:
                return
            rest += got
        head, _, rest = rest.partition(b"\r\n\r\n")
        wanted = min(_number(head, b"Content-Length: "), _MOST)
        while len(rest) < wanted:
            if not (got := await asyncio.wait_for(loop.sock_recv(client, 65_536), SILENT)):
                return
            rest += got
        rest = rest[wanted:]
        body = bytes(min(_number(head, b"/bytes/"), _MOST))
        await _send(loop, client, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _number(head: bytes, behind: bytes) -> int:
    digits = head.partition(behind)[2].split(b"\r\n")[0].split(b" ")[0]
    return int(digits) if digits.isdigit() else 0


async def _send(loop: asyncio.AbstractEventLoop, client: socket.socket, data: bytes) -> None:
    for at in range(0, len(data), 4096):
        await asyncio.wait_for(loop.sock_sendall(client, data[at : at + 4096]), STUCK)


async def serve(workers: int) -> None:
    loop, free = asyncio.get_running_loop(), asyncio.Semaphore(workers)
    running: set[asyncio.Task[None]] = set()

    async def work(client: socket.socket) -> None:
        with client, suppress(OSError, asyncio.TimeoutError):
            await answer(loop, client)
        free.release()

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        listener.setblocking(False)
        listener.bind((SERVER, HTTP))
        listener.listen(BACKLOG)
        while True:
            await free.acquire()
            client, _ = await loop.sock_accept(listener)
            task = loop.create_task(work(client))
            running.add(task)
            task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
