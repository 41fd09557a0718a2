"""Reads the files that a user names: the only path from files and streams to samples."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol, cast

from ..errors import Error, InputError
from ..network.inputformat import InputFormat
from .manager import Plugins
from .places import STDIN, files
from .samples import Member, Sample, Wanted

__all__ = ["STDIN", "Served", "opened", "peek", "read", "samples"]
HEAD, LEAST = 512, 16
"""The number of bytes that a source gets to claim a file, and the number that is waited for, enough for most files."""
DEPTH = 4
"""The maximum depth of nested files: an archive in an archive, both compressed."""


class Served(Protocol):
    """A network, or the description of one by an instance."""

    @property
    def input(self) -> InputFormat: ...


def read(
    uris: Iterable[str | Error],
    plugins: Plugins,
    wanted: Wanted,
    source: str | None = None,
    ready: Callable[[], object] = lambda: None,
) -> Iterator[Sample | Error]:
    """Every sample of ``uris``, in order, as ``wanted`` says: paths, directories, patterns, or ``-`` for standard input.

    Data that cannot be used is yielded as an error with the reason, and the data after it follows. ``source`` names the input
    source, None for the one that claims a file. ``ready`` is called once a file has bytes. Raises :class:`PluginError` if two
    sources claim a file.
    """
    for uri in uris:
        for file in [uri] if isinstance(uri, Error) else files(uri):
            if isinstance(file, Error):
                yield file
                continue
            try:
                with opened(file) as raw:
                    yield from _read(Member(file, raw), plugins, wanted, source, ready)
            except (InputError, OSError, MemoryError) as error:
                yield _told(file, error)


def _read(
    file: Member, plugins: Plugins, wanted: Wanted, source: str | None, ready: Callable[[], object], depth: int = 1
) -> Iterator[Sample | Error]:
    """The samples of one file, and of the files in it."""
    head, stream = peek(file.stream)
    try:
        reader = plugins.input_for(file.uri, head, source, wanted.kind.name)
    except InputError:  # more bytes may decide
        head, stream = peek(stream, HEAD)
        reader = plugins.input_for(file.uri, head, source, wanted.kind.name)
    if head:
        ready()
    for each in reader.samples(file.uri, stream, wanted):
        if not isinstance(each, Member):
            yield each
        elif depth == DEPTH:
            yield InputError(f"{each.uri}: inside of {DEPTH} other files; unpack some of them")
        else:
            try:
                yield from _read(each, plugins, wanted, None, ready, depth + 1)
            except (InputError, OSError, MemoryError) as error:
                yield _told(each.uri, error)


def _told(uri: str, error: InputError | OSError | MemoryError) -> InputError:
    if isinstance(error, InputError):
        return error
    name = "standard input" if uri == STDIN else uri
    if isinstance(error, MemoryError):
        return InputError(f"{name}: takes more memory than there is; raise the limit (ulimit -v), or give a smaller file")
    return InputError(f"{name}: cannot be read ({error.strerror}); give a whole file")


def samples(network: Served, *uris: str | os.PathLike[str], plugins: Plugins | None = None) -> Iterator[Sample]:
    """The samples of files, as ``ebpfnn infer`` makes them for ``network``: ``ebpfnn.samples(network, "digit.png")``.

    If ``plugins`` is None, the installed ones are used. Raises :class:`InputError` at the first file that cannot be used.
    """
    plugins = plugins or Plugins.installed()
    for sample in read((os.fspath(uri) for uri in uris), plugins, plugins.wanted(network.input)):
        if not isinstance(sample, Sample):
            raise sample
        yield sample


@contextmanager
def opened(uri: str) -> Iterator[BinaryIO]:
    """The binary stream of ``uri``: a path, or ``-`` for standard input, which stays open.

    Raises :class:`InputError` if a file cannot be opened.
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


def peek(stream: BinaryIO, least: int = LEAST) -> tuple[bytes, BinaryIO]:
    """The first bytes of ``stream``, up to 512, and a stream that still begins with them.

    It is the same stream if that is seekable. There are fewer than 512 bytes only at the end of the stream, or if a pipe has no
    more for now, but then at least ``least``. (``BufferedReader.peek`` cannot be used: on a pipe it returns the bytes of one
    read, which can be one byte.)
    """
    start = stream.tell() if stream.seekable() else None
    head = b""
    while len(head) < least:
        more = _read_some(stream, HEAD - len(head))
        if not more:
            break
        head += more
    if start is not None:
        stream.seek(start)
        return head, stream
    return head, cast("BinaryIO", io.BufferedReader(_Prepended(head, stream)))


class _Prepended(io.RawIOBase):
    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._rest.fileno()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = len(buffer)
        if self._head:
            chunk, self._head = self._head[:size], self._head[size:]
        else:
            chunk = _read_some(self._rest, size)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _read_some(stream: BinaryIO, size: int) -> bytes:
    """The result of one read of the stream, so that a pipe is not read until it has given ``size`` bytes."""
    return cast("bytes", getattr(stream, "read1", stream.read)(size))
