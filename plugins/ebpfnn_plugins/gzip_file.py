"""The input ``gzip``: reads the content of a gzipped file as if it were not compressed."""

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
        """The name of standard input is kept, so that its images are numbered as usual."""
        yield Member(uri, cast("BinaryIO", io.BufferedReader(_Unpacked(gzip.GzipFile(fileobj=stream)))))


class _Unpacked(io.RawIOBase):
    """The decompressed bytes of ``packed``. Damaged data raises a read error, as a damaged disk does."""

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
