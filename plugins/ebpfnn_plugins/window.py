"""A stream as bytes at offsets: what an image's framing looks at, read no further than it must be."""

from __future__ import annotations

import re
from typing import BinaryIO

from ebpfnn.preparation.formats import MAX_BYTES

CHUNK = 1 << 16
LIMIT = MAX_BYTES


class Broken(Exception):
    """An image ends too early, or stops making sense."""


class Window:
    """The part of ``stream`` that is read and not yet taken; offsets count from its start.

    Reading waits for what is asked for and no more, so that an image in a pipe is complete once its last byte is there.
    ``resume`` is for whoever reads an image to move: up to there it is whole, and if the rest proves broken, the next image is
    looked for from there.
    """

    def __init__(self, stream: BinaryIO, limit: int = LIMIT) -> None:
        self.buffer = bytearray()
        self.limit = limit
        self.ended = False
        self.resume = 1
        self._read = getattr(stream, "read1", stream.read)

    def more(self) -> bool:
        """Reads what the stream has now, waiting for at least a byte; False at its end."""
        chunk = b"" if self.ended else self._read(CHUNK)
        self.ended = not chunk
        self.buffer += chunk
        return not self.ended

    def allow(self, size: int) -> None:
        """Raises :class:`Broken` where ``size`` bytes are more than an image may have."""
        if size > self.limit:
            raise Broken(f"larger than {self.limit >> 20} MiB")

    def require(self, end: int) -> None:
        """Makes the first ``end`` bytes available; raises :class:`Broken` where the stream or the limit ends before."""
        self.allow(end)
        while len(self.buffer) < end:
            if not self.more():
                raise Broken(f"cut short after {len(self.buffer)} bytes")

    def get(self, start: int, size: int) -> bytes:
        """``size`` bytes at ``start``; raises as :meth:`require`."""
        self.require(start + size)
        return bytes(self.buffer[start : start + size])

    def big(self, start: int, size: int) -> int:
        """The big-endian unsigned integer of ``size`` bytes at ``start``; raises as :meth:`require`."""
        return int.from_bytes(self.get(start, size), "big")

    def little(self, start: int, size: int) -> int:
        """The little-endian unsigned integer of ``size`` bytes at ``start``; raises as :meth:`require`."""
        return int.from_bytes(self.get(start, size), "little")

    def find(self, pattern: re.Pattern[bytes], start: int, overlap: int) -> int:
        """Where the first match at or after ``start`` begins, of a pattern that matches ``overlap`` bytes at most.

        Raises as :meth:`require` where there is none.
        """
        position = start
        while not (match := pattern.search(self.buffer, position)):
            position = max(start, len(self.buffer) - overlap)
            self.require(len(self.buffer) + 1)
        return match.start()

    def take(self, size: int) -> bytes:
        """Removes the first ``size`` bytes, or what there is of them, and returns them."""
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        self.resume = 1
        return taken
