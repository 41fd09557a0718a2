"""The HTTP and DNS servers of the showcase of flows: ``server.py`` answers until it is ended.

HTTP has ``/bytes/N``, N bytes, and ``/private``, which refuses every password. DNS has an answer to every question.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from addresses import DNS, HTTP, SERVER

MOST = 1 << 20
_HEADER = struct.Struct("!HHHHHH")
_ANSWERED = 0x8580  # a response, with authority, to a question that wanted recursion
_A, _AAAA, _TXT = 1, 28, 16
_DATA = {_A: b"\x0a\x4d\x00\x03", _AAAA: bytes(15) + b"\x01", _TXT: b"\x0bhello world"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self) -> None:
        if self.path.startswith("/private"):
            self._answer(401, b"no", (("WWW-Authenticate", 'Basic realm="private"'),))
            return
        _, _, size = self.path.removeprefix("/").partition("/")
        self._answer(200, bytes(min(int(size), MOST) if size.isdigit() else 100))

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        self.rfile.read(min(int(size), MOST) if size.isdigit() else 0)
        self.do_GET()

    def _answer(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Web(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what this server is for."""


def answer(query: bytes) -> bytes:
    """The DNS answer to ``query``, of one question; b"" to what is none."""
    if len(query) < _HEADER.size:
        return b""
    number, _, questions, *_ = _HEADER.unpack_from(query)
    end = query.find(b"\0", _HEADER.size) + 5
    if questions != 1 or end < _HEADER.size + 5 or end > len(query):
        return b""
    question = query[_HEADER.size : end]
    kind = int.from_bytes(question[-4:-2], "big")
    data = _DATA.get(kind, b"")
    record = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data if data else b""
    return _HEADER.pack(number, _ANSWERED, 1, bool(data), 0, 0) + question + record


class OverUdp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        query, socket = self.request
        if reply := answer(query):
            socket.sendto(reply, self.client_address)


class OverTcp(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self) -> None:
        size = self.rfile.read(2)
        reply = answer(self.rfile.read(int.from_bytes(size, "big")))
        self.wfile.write(len(reply).to_bytes(2, "big") + reply)


class Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """As of :class:`Web`."""


def main() -> None:
    servers = Web((SERVER, HTTP), Handler), socketserver.UDPServer((SERVER, DNS), OverUdp), Tcp((SERVER, DNS), OverTcp)
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
