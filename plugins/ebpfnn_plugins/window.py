"""A stream as bytes at offsets: what an image's framing looks at, read no further than it must be."""

from __future__ import annotations

import re
import select
from typing import BinaryIO

from ebpfnn.preparation.formats import MAX_BYTES

CHUNK = 1 << 16
LIMIT = MAX_BYTES
MOMENT = 0.1
"""Seconds that are waited for bytes that may never come."""


class Broken(Exception):
    """An image ends too early, or stops making sense."""


class Window:
    """The part of ``stream`` that is read and not yet taken; offsets count from its start.

    Reading waits for what is asked for and no more, so that an image in a pipe is complete once its last byte is there.
    Where an image proves broken, the next one is looked for from ``resume`` on, which whoever reads an image may move up to
    where no other can begin, and not at what was added to ``inner``: images that are parts of this one. ``taken`` counts the
    bytes of the stream before the window.
    """

    def __init__(self, stream: BinaryIO, limit: int = LIMIT) -> None:
        self.buffer = bytearray()
        self.limit = limit
        self.taken = 0
        self.ended = False
        self.resume = 1
        self.inner: set[int] = set()
        self._stream = stream
        self._read = getattr(stream, "read1", stream.read)

    def more(self) -> bool:
        """Reads what the stream has now, waiting for at least a byte; False at its end."""
        chunk = b"" if self.ended else self._read(CHUNK)
        self.ended = not chunk
        self.buffer += chunk
        return not self.ended

    def soon(self) -> bool:
        """:meth:`more`, where that does not wait, or not for long; False where nothing came."""
        try:
            waiting = select.poll()
            waiting.register(self._stream.fileno(), select.POLLIN)
            there = bool(waiting.poll(MOMENT * 1000))
        except (OSError, ValueError):
            there = self._stream.seekable()  # in memory
        return there and self.more()

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
        self.taken += len(taken)
        self.resume = 1
        self.inner.clear()
        return taken
