"""Opening what a user names, and looking at its first bytes without taking them from who reads it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from ..errors import InputError

STDIN = "-"
HEAD = 64
"""Bytes to look for: plugins are promised at least 16."""


@contextmanager
def opened(uri: str) -> Iterator[BinaryIO]:
    """The binary stream of ``uri``: a path, or ``-`` for standard input, which stays open.

    Raises :class:`InputError` where a file cannot be opened.
    """
    if uri == STDIN:
        if sys.stdin is None:
            raise InputError("standard input: closed; give an image, e.g. ebpfnn infer < digit.png")
        yield sys.stdin.buffer
        return
    with _open(uri) as stream:
        yield stream


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except (OSError, ValueError) as error:
        fact = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be opened ({fact}); give the path of a file that you may read") from error


def peek(stream: BinaryIO) -> tuple[bytes, BinaryIO]:
    """The first bytes of ``stream``, up to 64, and a stream that still begins with them.

    Fewer than 64 only at the end of the stream or where a pipe has no more to give for now, yet at least 16 then.
    (``BufferedReader.peek`` will not do: of a pipe it shows what one read gave, which can be one byte.)
    """
    head = b""
    while len(head) < 16:
        more = _read_some(stream, HEAD - len(head))
        if not more:
            break
        head += more
    return head, cast("BinaryIO", io.BufferedReader(_Prepended(head, stream)))


class _Prepended(io.RawIOBase):
    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = len(buffer)
        if self._head:
            chunk, self._head = self._head[:size], self._head[size:]
        else:
            chunk = _read_some(self._rest, size)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _read_some(stream: BinaryIO, size: int) -> bytes:
    """What one read of the stream gives, so that a pipe is not waited for until it has given ``size`` bytes."""
    read = getattr(stream, "read1", stream.read)
    try:
        return cast("bytes", read(size))
    except OSError as error:
        name = getattr(stream, "name", "the stream")
        raise InputError(f"{name}: cannot be read ({error.strerror}); give a file with an image") from error
