"""Locks on directories: flock(2), which a process's end gives back."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import PermissionDenied, SessionError
from ..kernel.fd import Descriptor
from ..kernel.syscall import refusal


@contextmanager
def lock(directory: Path) -> Iterator[None]:
    """While this holds, nobody else holds the lock of ``directory``. Raises :class:`~ebpfnn.errors.Error` where none is had."""
    with open_directory(directory) as place, locked(place):
        yield


@contextmanager
def try_lock(directory: Path) -> Iterator[bool]:
    """:func:`lock` where nobody holds it; whether that is so."""
    with open_directory(directory) as place:
        try:
            _flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            _flock(place, fcntl.LOCK_UN)


def is_locked(directory: Path) -> bool:
    """Whether somebody holds the lock of ``directory``."""
    with try_lock(directory) as free:
        return not free


@contextmanager
def locked(place: Descriptor) -> Iterator[None]:
    """:func:`lock` of a directory that is open. It is given up by name: a child of a fork has the descriptor open too."""
    _flock(place, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _flock(place, fcntl.LOCK_UN)


def open_directory(directory: Path) -> Descriptor:
    """For :func:`locked`. Raises :class:`SessionError` where it is gone, else what the kernel refuses."""
    with telling(directory):
        return Descriptor(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), str(directory))


def _flock(place: Descriptor, how: int) -> None:
    try:
        fcntl.flock(place.fileno(), how)
    except BlockingIOError:
        raise
    except OSError as fault:
        raise refusal(f"'{place.name}': flock", fault.errno or 0) from None


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """What the file system says of ``path`` as typed errors: it is gone, not this user's, read-only, or something is full."""
    try:
        yield
    except FileNotFoundError:
        raise SessionError(f"'{path}' is gone, its instance was unloaded; `ebpfnn list` shows what is loaded") from None
    except PermissionError as fault:
        fact = f"'{path}': {fault.strerror}; ask who loaded it, or run as root (sudo)"
        raise PermissionDenied(fact, fault.errno or 0) from None
    except OSError as fault:
        operation = "write" if fault.errno == errno.EROFS else "open"
        raise refusal(f"'{path}': {operation}", fault.errno or 0) from None
