"""A stream as bytes at offsets, for the code that finds image ends. It reads no more than it needs."""

from __future__ import annotations

import re
import select
from typing import BinaryIO

from ebpfnn.preparation.formats import MAX_BYTES

CHUNK = 1 << 16
LIMIT = MAX_BYTES
MOMENT = 0.1
"""How long to wait for bytes that may never arrive, in seconds."""


class Broken(Exception):
    """An image is truncated or malformed."""


class Window:
    """The part of ``stream`` that was read and not yet taken. Offsets count from its start.

    A read waits only for the bytes that were requested, so that an image in a pipe is complete as soon as its last byte
    arrives. After a broken image, the search for the next one starts at ``resume``. The reader of an image may advance it up to
    where no other image can begin. The search ignores starts in ``inner``: images that are parts of this image. ``taken``
    counts the bytes of the stream before the window.
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
        """Reads the data that is available, at least one byte. False at the end of the stream."""
        chunk = b"" if self.ended else self._read(CHUNK)
        self.ended = not chunk
        self.buffer += chunk
        return not self.ended

    def soon(self) -> bool:
        """As :meth:`more`, if that does not wait, or only briefly. False if no data arrived."""
        try:
            waiting = select.poll()
            waiting.register(self._stream.fileno(), select.POLLIN)
            there = bool(waiting.poll(MOMENT * 1000))
        except (OSError, ValueError):
            there = self._stream.seekable()  # the stream is in memory
        return there and self.more()

    def allow(self, size: int) -> None:
        """Raises :class:`Broken` if ``size`` bytes are more than an image may have."""
        if size > self.limit:
            raise Broken(f"larger than {self.limit >> 20} MiB")

    def require(self, end: int) -> None:
        """Makes the first ``end`` bytes available. Raises :class:`Broken` if the stream or the limit ends before."""
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
        """The start of the first match at or after ``start``; ``overlap`` is the maximum length of a match.

        Raises as :meth:`require` if there is none.
        """
        position = start
        while not (match := pattern.search(self.buffer, position)):
            position = max(start, len(self.buffer) - overlap)
            self.require(len(self.buffer) + 1)
        return match.start()

    def take(self, size: int) -> bytes:
        """Removes and returns the first ``size`` bytes, or all bytes if there are fewer."""
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        self.taken += len(taken)
        self.resume = 1
        self.inner.clear()
        return taken
