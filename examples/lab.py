"""A network of two ends for trying things, and traffic in it: python examples/lab.py up|web|scan|down, as root.

The interface ``lab0`` is at 10.77.0.1. Its other end is in a network namespace of its own, with the addresses 10.77.0.10 to
10.77.0.249. Nothing leads out of it.
"""

from __future__ import annotations

import argparse
import ctypes
import http.client
import os
import random
import socket
import subprocess
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, HERE, THERE, SERVER = "ebpfnn-lab", "lab0", "lab1", "10.77.0.1"
CLIENTS = [f"10.77.0.{number}" for number in range(10, 250)]
PORT = 8077
MOST_A_SECOND = 400  # packets of one client


def up() -> None:
    """Makes the namespace and the pair of interfaces."""
    steps = [
        f"ip netns add {NAME}",
        f"ip link add {HERE} type veth peer name {THERE} netns {NAME}",
        f"ip address add {SERVER}/24 dev {HERE}",
        f"ip link set {HERE} up",
        *(f"ip -n {NAME} address add {address}/24 dev {THERE}" for address in CLIENTS),
        f"ip -n {NAME} link set {THERE} up",
    ]
    made: list[list[str]] = []  # what undoes the steps, and nothing that others have made
    undone = [["ip", "netns", "delete", NAME], ["ip", "link", "delete", HERE]]
    try:
        for step in steps:
            subprocess.run(step.split(), check=True)
            made += undone[len(made) : len(made) + 1]
    except subprocess.CalledProcessError:
        for command in reversed(made):
            subprocess.run(command, check=False)
        raise SystemExit(1) from None


def down() -> None:
    """Deletes both."""
    subprocess.run(["ip", "link", "delete", HERE], check=False)
    subprocess.run(["ip", "netns", "delete", NAME], check=False)


def web(addresses: list[str], end: float) -> None:
    """Each address fetches pages of several sizes, one after another, with pauses."""
    server = ThreadingHTTPServer((SERVER, PORT), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    everywhere(addresses, end, fetch)
    server.shutdown()
    server.server_close()


def scan(addresses: list[str], end: float) -> None:
    """Each address tries one port of the server after another."""
    everywhere(addresses, end, try_port)


class Pages(BaseHTTPRequestHandler):
    """Serves as many bytes as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = min(int(self.path[1:]), 1 << 16)
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(bytes(size))

    def log_message(self, *args: object) -> None:
        """Says nothing."""


def fetch(address: str) -> None:
    connection = http.client.HTTPConnection(SERVER, PORT, timeout=2, source_address=(address, 0))
    try:
        for _ in range(random.randint(1, 6)):
            connection.request("GET", f"/{random.choice((200, 2_000, 8_000, 40_000))}")
            connection.getresponse().read()
            time.sleep(random.uniform(0.005, 0.05))
    finally:
        connection.close()


def try_port(address: str) -> None:
    with socket.socket() as client:
        client.settimeout(0.2)
        client.bind((address, 0))
        client.connect_ex((SERVER, random.randint(1, 10_000)))
    time.sleep(random.uniform(1, 3) / MOST_A_SECOND)


def everywhere(addresses: list[str], end: float, act) -> None:  # type: ignore[no-untyped-def]
    """Each address has a thread in the namespace, which acts until ``end``."""

    def client(address: str) -> None:
        with open(f"/run/netns/{NAME}") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
                raise SystemExit(os.strerror(ctypes.get_errno()))
        while time.monotonic() < end:
            with suppress(OSError, http.client.HTTPException):
                act(address)

    threads = [threading.Thread(target=client, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("up", "web", "scan", "down"))
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=4, help="addresses that act, drawn at random")
    given = parser.parse_args()
    if given.what in ("up", "down"):
        up() if given.what == "up" else down()
        return
    acts = {"web": web, "scan": scan}
    acts[given.what](random.sample(CLIENTS, given.clients), time.monotonic() + min(given.seconds, 60))


if __name__ == "__main__":
    main()
