"""The server of metrics: no client holds a place for long, and what goes wrong is told."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
from prometheus_client.metrics_core import Metric

from ebpfnn.instance import Store
from ebpfnn.metrics import server
from ebpfnn.metrics.collector import Instances


class Made(Instances):
    """Collects nothing, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(Store(), 1)
        self.fails = fails

    def collect(self) -> Iterator[Metric]:
        if self.fails:
            raise KeyError("no such figure")
        return iter(())


@contextmanager
def serving(instances: Instances) -> Iterator[int]:
    with server.Server("127.0.0.1", 0, instances) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield made.server_address[1]
        finally:
            made.shutdown()
            thread.join()


def status(port: int) -> int:
    """0 if it was turned away."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/metrics")
        return connection.getresponse().status
    connection.close()
    return 0


def dribble(client: socket.socket, over: threading.Event) -> None:
    """A request that never ends: it sends a byte now and then, for as long as the server takes them."""
    with client, suppress(OSError):
        while not over.wait(0.02):
            client.sendall(b"x")


def test_clients_that_never_finish_a_request_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PATIENCE", 1.0)
    over = threading.Event()
    with serving(Made()) as port:
        clients = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(4)]
        slow = [threading.Thread(target=dribble, args=(client, over)) for client in clients]
        for each in slow:
            each.start()
        try:
            assert status(port) == 0, "they have all places"
            found = 0
            for _ in range(1000):
                if found := status(port):
                    break
                time.sleep(0.01)
            assert found == 200
        finally:
            over.set()
            for each in slow:
                each.join()


def test_a_scrape_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with serving(Made(fails=True)) as port:
        assert status(port) == 0
    assert "a scrape failed with KeyError('no such figure'); report this" in caplog.text


def test_a_client_that_has_no_thread_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with serving(Made()) as port:
        with monkeypatch.context() as patched:
            patched.setattr(server.socketserver.ThreadingMixIn, "process_request", refuses)
            assert [status(port) for _ in range(8)] == [0] * 8
        assert status(port) == 200
