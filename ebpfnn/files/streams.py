"""Reads streams that may contain less, or more, than they declare."""

from __future__ import annotations

from typing import Protocol

_PIECE = 1 << 20


class Readable(Protocol):
    """Whatever has read(2)'s manner: at most ``size`` bytes, fewer only near the end."""

    def read(self, size: int, /) -> bytes: ...


def take(stream: Readable, size: int) -> bytearray:
    """The next ``size`` bytes of ``stream``, or all if it has fewer.

    Memory use grows with the data that is there, not with the requested size.
    """
    held = bytearray()
    while len(held) < size:
        piece = stream.read(min(_PIECE, size - len(held)))
        if not piece:
            break
        held += piece
    return held
