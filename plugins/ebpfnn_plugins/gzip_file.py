"""The input ``gzip``: what a gzipped file holds, read as if it were not gzipped."""

from __future__ import annotations

import errno
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from ebpfnn.plugin import InputSource, Member, Wanted, hookimpl


class Gzip(InputSource):
    name = "gzip"
    summary = "gzipped file of anything that is read"

    def accepts(self, uri: str, head: bytes) -> bool:
        return head.startswith(b"\x1f\x8b\x08")

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Member]:
        """Standard input stays what it is, so that images in it are numbered as others are."""
        yield Member(uri, cast("BinaryIO", io.BufferedReader(_Unpacked(gzip.GzipFile(fileobj=stream)))))


class _Unpacked(io.RawIOBase):
    """The bytes of ``packed``; that it is damaged is an error of reading, as a disk's are."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            chunk = self._packed.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise OSError(errno.EIO, "its gzip data is cut short or corrupt") from error
        buffer[: len(chunk)] = chunk
        return len(chunk)


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [Gzip()]
