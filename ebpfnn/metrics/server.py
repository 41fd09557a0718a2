"""Serves metrics by HTTP: few clients at a time, none of which can hold the server for long."""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from prometheus_client.exposition import choose_encoder

from ..errors import NotSupported
from .collector import Instances

_LOG = logging.getLogger(__name__)
_MOST_CLIENTS, _PATIENCE = 4, 5.0  # seconds for a request, and for taking the answer
_PATHS = ("/", "/metrics")


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """Answers ``GET /metrics`` with what ``instances`` collects. Further clients than four at a time are turned away.

    Raises :class:`NotSupported` if ``host`` and ``port`` cannot be listened at.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, instances: Instances) -> None:
        self.instances = instances
        self.free = threading.BoundedSemaphore(_MOST_CLIENTS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except OSError as fault:
            fact = f"exporter: {host} port {port} cannot be listened at ({fault.strerror or fault})"
            raise NotSupported(f"{fact}; give another one with --listen") from None

    def server_bind(self) -> None:
        """Without the look-up of the host's name, which may wait for a name server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # there is no thread, which would free it
            self.free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            _LOG.error("a scrape failed with %r; report this", error)


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server: Server

    def handle(self) -> None:
        """Ends the connection if the request is not whole in time: each byte that comes begins ``timeout`` anew."""
        self._late = threading.Timer(_PATIENCE, self._hang_up)
        self._late.daemon = True
        self._late.start()
        try:
            super().handle()
        finally:
            self._late.cancel()

    def _hang_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        self._late.cancel()
        if self.path.partition("?")[0] not in _PATHS:
            self.send_error(404)
            return
        encode, kind = choose_encoder(self.headers.get("Accept", ""))
        body = encode(self.server.instances)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Says nothing: a scrape is no news."""
