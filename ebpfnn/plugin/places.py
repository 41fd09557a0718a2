"""The files that a user names: by path, in a directory, by a pattern, or in a list."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import InputError

STDIN = "-"
_LONGEST = 1 << 16
"""The maximum length of a path in a list, in bytes. PATH_MAX is 4096."""


def files(uri: str) -> Iterator[str | InputError]:
    """The files that ``uri`` names, or errors: ``-``, a path, a directory or a pattern, sorted by name.

    For a directory, these are the files in it and below, without hidden ones: names that begin with a dot. Links to directories
    are not followed, and are reported.
    """
    if uri != STDIN and _is_directory(uri):
        empty = True
        for each in _below(uri):
            empty = False
            yield each
        if empty:
            yield InputError(f"{uri}: a directory without files; give one with images")
    elif uri != STDIN and glob.has_magic(uri) and not os.path.lexists(uri):
        found = _matching(uri)
        if not found:
            yield InputError(f"{uri}: no file matches; give another pattern")
        for name in found:
            if not _is_directory(name):
                yield name
            elif "**" not in uri:  # it also matches the content of subdirectories
                yield from files(name)
    else:
        yield uri


def listed(stream: BinaryIO, separator: bytes) -> Iterator[str | InputError]:
    """The paths of a list in ``stream``, each as soon as it is complete."""
    read, held = getattr(stream, "read1", stream.read), b""
    while chunk := read(_LONGEST):
        *whole, held = (held + chunk).split(separator)
        for path in filter(None, whole):
            yield _path(path)
        if len(held) > _LONGEST:
            yield InputError(f"standard input: {len(held)} bytes without the end of a path; give one a line, or --null")
            return
    if held:
        yield _path(held)


def _path(name: bytes) -> str:
    return f"./{STDIN}" if name == STDIN.encode() else os.fsdecode(name)


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 -- a Path would forget a trailing slash
    except (OSError, ValueError):
        return False


def _matching(pattern: str) -> list[str]:
    try:
        return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 -- of absolute patterns too
    except ValueError:  # a NUL byte, which a list may have in it
        return []


def _below(directory: str) -> Iterator[str | InputError]:
    """Not recursive: directories can be deeper than Python's call stack."""
    levels = [_entries(directory)]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif isinstance(entry, InputError):
            yield entry
        elif entry.is_dir(follow_symlinks=False):
            levels.append(_entries(entry.path))
        elif entry.is_file():
            yield entry.path
        else:
            kind = "a link to a directory, or to nothing" if entry.is_symlink() else "a device, FIFO or socket"
            yield InputError(f"{entry.path}: {kind}, left out of its directory; give it by its own name")


def _entries(directory: str) -> Iterator[os.DirEntry[str] | InputError]:
    """The entries of ``directory`` itself that are not hidden, sorted by name."""
    try:
        with os.scandir(directory) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        yield InputError(f"{directory}: cannot be read ({error.strerror}); give a directory that you may read")
        return
    yield from found
