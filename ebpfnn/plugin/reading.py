"""Reading what a user names: the one way from files and streams to samples."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol, cast

from ..errors import Error, InputError
from ..network.layers import InputFormat
from .manager import Plugins
from .samples import Sample, Wanted

STDIN = "-"
HEAD = 64
"""Bytes to look for: plugins are promised at least 16."""


class Served(Protocol):
    """A network, or what an instance says of one."""

    @property
    def input(self) -> InputFormat: ...


def read(
    uris: Iterable[str],
    plugins: Plugins,
    wanted: Wanted,
    source: str | None = None,
    ready: Callable[[], object] = lambda: None,
) -> Iterator[Sample | Error]:
    """Every sample of ``uris``, paths or ``-`` for standard input, in order, as ``wanted`` says.

    What cannot be used comes as the error that says why, and what is behind it follows. ``source`` names the input source, None
    for the one that claims a URI; ``ready`` is called once a URI has bytes. Raises :class:`PluginError` where two sources claim
    a URI.
    """
    for uri in uris:
        try:
            with opened(uri) as raw:
                head, stream = peek(raw)
                reader = plugins.input_for(uri, head, source)
                if head:
                    ready()
                yield from reader.samples(uri, stream, wanted)
        except InputError as error:
            yield error
        except MemoryError:
            yield InputError(f"{uri}: takes more memory than there is; raise the limit (ulimit -v), or give a smaller file")


def samples(network: Served, *uris: str | os.PathLike[str], plugins: Plugins | None = None) -> Iterator[Sample]:
    """The samples of files, as ``ebpfnn infer`` makes them for ``network``: ``ebpfnn.samples(network, "digit.png")``.

    ``plugins`` are the installed ones for None. Raises :class:`InputError` at the first that cannot be used.
    """
    plugins = plugins or Plugins.installed()
    for sample in read((os.fspath(uri) for uri in uris), plugins, plugins.wanted(network.input)):
        if not isinstance(sample, Sample):
            raise sample
        yield sample


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
