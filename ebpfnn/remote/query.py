"""The client of networks that answer packets: a sample goes out as a UDP datagram, and its scores come back."""

from __future__ import annotations

import secrets
import socket
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, QueryError
from ..network.encoding import encode
from ..network.model import Model
from . import protocol

TIMEOUT, ATTEMPTS = 0.5, 4
_LARGEST_DATAGRAM = 65535


@dataclass(frozen=True)
class Address:
    """Where a network answers: a name or an IPv4 or IPv6 address, and a UDP port."""

    host: str
    port: int = protocol.PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address. Raises :class:`InputError`."""
        host, colon, port = text.rpartition(":")
        if text.count(":") > 1 and not host.endswith("]"):
            host, colon, port = text, "", ""
        if not colon:
            host, port = text, str(protocol.PORT)
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not host or not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 1 << 16):
            raise InputError(
                f"address '{text}': not HOST, HOST:PORT or [IPV6]:PORT; give one such as 192.0.2.1:{protocol.PORT}"
            )
        return cls(host, int(port))


@dataclass(frozen=True, eq=False)
class Answer:
    """``label`` is an index, ``scores`` int32 [classes], ``elapsed_ns`` the time in the network, by its kernel's clock.

    ``seconds`` is the time there and back, from the last request.
    """

    label: int
    scores: NDArray[np.int32]
    elapsed_ns: int
    seconds: float


class Client(AbstractContextManager["Client"]):
    """Asks the network at ``address``, which must be ``network``, or, where that is ``anyone``, one with the same samples.

    A request that is not answered within ``timeout`` seconds is sent again, ``attempts`` times in all; an answer that is late
    or comes twice is told by its sequence and passed over.

    Raises :class:`InputError` for a name that nobody knows, and for samples too large for a datagram.
    """

    def __init__(
        self,
        address: Address,
        network: Model,
        *,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        anyone: bool = False,
    ) -> None:
        if network.input.sample_bytes > protocol.LARGEST_SAMPLE:
            fact = f"a sample has {network.input.sample_bytes:,} bytes, and a datagram room for {protocol.LARGEST_SAMPLE:,}"
            raise InputError(f"network '{network.name}': {fact}; use one with smaller or packed samples")
        self.address, self.network = address, network
        self._timeout, self._attempts = timeout, attempts
        self.anyone = anyone
        self._wanted = 0 if anyone else protocol.network_id(network.name)
        self._sequence = secrets.randbits(32)  # not to be guessed by who would answer in the network's place
        self._size = protocol.payload_bytes(network.input.sample_bytes, len(network.labels))
        self._socket = _connect(address)

    def infer(self, sample: NDArray[np.uint8]) -> Answer:
        """Has one sample computed, uint8 of the network's input shape.

        Raises :class:`InputError` for a sample of another shape or dtype, :class:`QueryError` where no answer comes.
        """
        data = encode(self.network.input, sample).tobytes()
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        request = protocol.request(data, self._size, self._sequence, self._wanted)
        reason = "silence"
        for _ in range(self._attempts):
            sent = time.monotonic()
            try:
                self._socket.send(request)
                reply = self._receive(sent + self._timeout)
            except OSError as fault:  # what an ICMP message said: the packet went past the network to a closed port, or nowhere
                reason = fault.strerror or str(fault)
                time.sleep(max(0.0, sent + self._timeout - time.monotonic()))
                continue
            if reply is not None:
                return Answer(reply.label, np.array(reply.scores, np.int32), reply.elapsed_ns, time.monotonic() - sent)
        raise self._unanswered(reason)

    def close(self) -> None:
        """May be called twice."""
        self._socket.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _receive(self, deadline: float) -> protocol.Reply | None:
        """The reply to the request of this sequence, None where none comes in time."""
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                reply = protocol.reply(self._socket.recv(_LARGEST_DATAGRAM))
            except TimeoutError:
                return None
            except InputError:  # from the right address, and no reply
                continue
            if self._is_ours(reply):
                return reply
        return None

    def _is_ours(self, reply: protocol.Reply) -> bool:
        """Whether it answers the last request, by a network that was asked."""
        fits = len(reply.scores) == len(self.network.labels)
        return fits and reply.sequence == self._sequence and self._wanted in (0, reply.network)

    def _unanswered(self, reason: str) -> QueryError:
        asked = "" if not self._wanted else f" for network '{self.network.name}'"
        fact = f"no answer to {self._attempts} requests{asked}, {self._timeout:g} s apart ({reason})"
        return QueryError(f"{self.address}: {fact}; run `ebpfnn list` there to see the network and its options, or give --any")


def _connect(address: Address) -> socket.socket:
    """A UDP socket that hears nobody but ``address``. Raises :class:`InputError`."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise InputError(f"address '{address}': {reason}; give the name or the address of the machine") from None
    family, kind, number, _, place = found[0]
    made = socket.socket(family, kind, number)
    try:
        made.connect(place)
    except OSError as fault:
        made.close()
        raise InputError(f"address '{address}': cannot be reached ({fault.strerror}); see `ip route`") from None
    return made
