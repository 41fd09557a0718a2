"""The input ``tar``: the files in a tar archive, in order. Nothing is written to disk.

Source: POSIX.1-2017, pax, and GNU tar's manual, "Basic Tar Format". Headers are decoded by :class:`tarfile.TarInfo`; the other
code of tarfile is not used, since it reads extended headers of any size.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ebpfnn.errors import Error, InputError
from ebpfnn.plugin import InputSource, Member, Sample, Wanted, hookimpl, take

from .archives import MAX_MEMBER, member, shown, too_large

_BLOCK, _PIECE, _MAX_EXTENDED = 512, 1 << 20, 1 << 20
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENDED = (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_LENGTH, _SIZE = re.compile(rb"(\d{1,7}) "), re.compile(rb"\d{1,15}")


class Tar(InputSource):
    name = "tar"
    summary = "tar archive, each file in it read as if it were one"

    def accepts(self, uri: str, head: bytes) -> bool:
        """Accepts a file by its first header, which has a checksum."""
        return len(head) >= _BLOCK and bool(head.strip(b"\0")) and _header(head[:_BLOCK]) is not None

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error | Member]:
        archive, number = _Archive("stdin" if uri == "-" else uri, stream), 0
        for number, each in enumerate(archive.members(), 1):  # noqa: B007
            yield each
        if not number:
            yield InputError(f"{archive.name}: an archive without files; give one with images")


def _header(block: bytes) -> tarfile.TarInfo | None:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return info if info.size >= 0 else None


def _records(data: bytes) -> dict[bytes, bytes]:
    """The path and the size in pax records. Each is ``LENGTH KEY=VALUE`` and a line feed; a value may contain line feeds."""
    told: dict[bytes, bytes] = {}
    at = 0
    while length := _LENGTH.match(data, at):
        key, _, value = data[length.end() : at + int(length[1]) - 1].partition(b"=")
        if key == b"path" or (key == b"size" and _SIZE.fullmatch(value)):
            told[key] = value
        at = max(length.end(), at + int(length[1]))
    return told


class _Archive:
    """The members of the archive in ``stream``; ``name`` is used in messages."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name, self._stream, self._at = name, stream, 0

    def members(self) -> Iterator[Error | Member]:
        told: dict[bytes, bytes] = {}
        while info := self._header():
            size = int(told.get(b"size", info.size))
            if info.type in _EXTENDED:
                told |= self._extended(info, size)
                continue
            path = told.get(b"path", b"").decode("utf-8", "surrogateescape")
            told = {}
            yield from self._member(info, path or info.name, size)

    def _extended(self, info: tarfile.TarInfo, size: int) -> dict[bytes, bytes]:
        """The path and the size of the next member, from an extended header."""
        if size > _MAX_EXTENDED:
            raise InputError(f"{self.name}: an extended header of {size} bytes at byte {self._at}; make it anew")
        data = bytes(self._take(size))
        if info.type == tarfile.GNUTYPE_LONGNAME:
            return {b"path": data.rstrip(b"\0")}
        return _records(data) if info.type in _PAX else {}

    def _member(self, info: tarfile.TarInfo, name: str, size: int) -> Iterator[Error | Member]:
        if info.isdir():
            return
        if not info.isreg() or info.issparse():
            kind = "a link" if info.issym() or info.islnk() else "a sparse file" if info.issparse() else "a device or FIFO"
            yield InputError(f"{shown(self.name, name)}: {kind}, left out; archive what it stands for")
            size = size if info.isreg() else 0
        elif size <= MAX_MEMBER:
            yield member(self.name, name, self._take(size))
            return
        else:
            yield too_large(self.name, name, size)
        for at in range(0, size, _PIECE):
            self._take(min(_PIECE, size - at))

    def _header(self) -> tarfile.TarInfo | None:
        """The next header. None at the end: a block of zeros, or the end of the stream."""
        block = bytes(take(self._stream, _BLOCK))
        if not block.strip(b"\0") and len(block) in (0, _BLOCK):
            return None
        info = _header(block)
        if info is None:
            raise InputError(f"{self.name}: cut short or damaged at byte {self._at}; give a whole archive")
        self._at += _BLOCK
        return info

    def _take(self, size: int) -> bytearray:
        """The next ``size`` bytes. The padding of their last block is skipped."""
        data = take(self._stream, size)
        padding = -size % _BLOCK
        if len(data) < size or len(take(self._stream, padding)) < padding:
            raise InputError(f"{self.name}: cut short at byte {self._at + len(data)}; give a whole archive")
        self._at += size + padding
        return data


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [Tar()]
