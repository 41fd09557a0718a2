"""Locks on directories: flock(2), which a process's end gives back.

The child of a fork has the parent's lock, not one of its own: there the end of a ``with`` closes the descriptor and no more.
"""

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
        with _given_up(place):
            yield True


def is_locked(directory: Path) -> bool:
    """Whether somebody holds the lock of ``directory``.

    It takes the lock to find out: to :func:`try_lock` in another process it is held at that moment.
    """
    with try_lock(directory) as free:
        return not free


@contextmanager
def locked(place: Descriptor) -> Iterator[None]:
    """:func:`lock` of a directory that is open."""
    _flock(place, fcntl.LOCK_EX)
    with _given_up(place):
        yield


@contextmanager
def _given_up(place: Descriptor) -> Iterator[None]:
    """Unlocks at the end: closing alone does not where a child of a fork has the descriptor open too."""
    process = os.getpid()
    try:
        yield
    finally:
        if process == os.getpid() and not place.closed:
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


def entries(directory: Path) -> list[Path]:
    """What lies in it. Raises as :func:`telling` does."""
    with telling(directory):
        return list(directory.iterdir())


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """What the file system says of ``path`` as typed errors: it is gone, not this user's, read-only, or something is full."""
    try:
        yield
    except FileNotFoundError:
        raise SessionError(f"'{path}' is gone, its instance was unloaded; `ebpfnn list` shows what is loaded") from None
    except PermissionError as fault:
        fact = f"'{path}' is closed to this user ({fault.strerror})"
        remedy = "run as root (sudo), or have it loaded for a Unix group of yours: ebpfnn load --group GROUP"
        raise PermissionDenied(f"{fact}; {remedy}", fault.errno or 0) from None
    except OSError as fault:
        operation = "write" if fault.errno == errno.EROFS else "open"
        raise refusal(f"'{path}': {operation}", fault.errno or 0) from None
