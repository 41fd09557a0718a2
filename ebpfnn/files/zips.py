"""Untrusted zip archives: the size of the content is bounded before any of it is in memory.

Python's zipfile builds an object for every entry, believes the size that an entry declares, and unpacks all that a read gives
it at once.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from .streams import take

MAX_ENTRIES = 10_000
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # compressed or encrypted as nothing here is
    RuntimeError,  # wants a password
    OverflowError,
    ValueError,
)
"""The exceptions of zipfile for a malformed file."""
_ENTRY = re.compile(rb"PK\x01\x02")
_KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Other methods decompress without a bound: a few bytes of bzip2 become gigabytes."""


@contextmanager
def opened(file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """The archive in the seekable ``file``. Raises one of :data:`DAMAGE` if it is not an archive, or has too many entries."""
    if _count(file) > MAX_ENTRIES:
        raise zipfile.BadZipFile(f"over {MAX_ENTRIES} entries")
    with zipfile.ZipFile(file) as archive:
        yield archive


def unpacked(archive: zipfile.ZipFile) -> int:
    """The uncompressed size that the archive declares, in bytes. :func:`read` returns no more of any entry."""
    return sum(member.file_size for member in archive.infolist())


def read(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of the entry ``name``. Raises one of :data:`DAMAGE`, or :class:`KeyError` if there is no such entry."""
    with member(archive, name) as stream:
        return bytes(take(stream, archive.getinfo(name).file_size))


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The content of ``entry``, for archives with several entries of its name. Raises one of :data:`DAMAGE`."""
    with member(archive, entry) as stream:
        data = bytes(take(stream, entry.file_size))
        if len(data) < entry.file_size:
            raise EOFError("cut short")
        return data


def member(archive: zipfile.ZipFile, entry: str | zipfile.ZipInfo) -> IO[bytes]:
    """``entry``, or the entry of that name, as a stream. Each read decompresses about as much as it requests."""
    found = archive.getinfo(entry) if isinstance(entry, str) else entry
    if found.compress_type not in _KNOWN:
        raise NotImplementedError("a compression method other than stored and deflated")
    return archive.open(found)


def _count(file: IO[bytes]) -> int:
    """The maximum number of entries in ``file``: how often the signature of an entry occurs in it."""
    file.seek(0)
    found, tail = 0, b""
    while chunk := file.read(1 << 20):
        found += len(_ENTRY.findall(tail + chunk))
        tail = chunk[-3:]
    file.seek(0, io.SEEK_SET)
    return found
