"""Locks on directories by flock(2), which are released when a process ends.

The child of a fork shares the parent's lock and has none of its own. In the child, the end of a ``with`` only closes the
descriptor.
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
    """Holds the lock of ``directory``, exclusively. Raises :class:`~ebpfnn.errors.Error` if it cannot be taken."""
    with open_directory(directory) as place, locked(place):
        yield


@contextmanager
def try_lock(directory: Path) -> Iterator[bool]:
    """As :func:`lock`, if nobody holds it. Yields whether it was taken."""
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

    To find out, it takes the lock for a moment. A :func:`try_lock` of another process fails at that moment.
    """
    with try_lock(directory) as free:
        return not free


@contextmanager
def locked(place: Descriptor) -> Iterator[None]:
    """As :func:`lock`, for an open directory."""
    _flock(place, fcntl.LOCK_EX)
    with _given_up(place):
        yield


@contextmanager
def _given_up(place: Descriptor) -> Iterator[None]:
    """Unlocks at the end. Closing is not enough if the child of a fork also has the descriptor open."""
    process = os.getpid()
    try:
        yield
    finally:
        if process == os.getpid() and not place.closed:
            _flock(place, fcntl.LOCK_UN)


def open_directory(directory: Path) -> Descriptor:
    """Opens a directory for :func:`locked`. Raises :class:`SessionError` if it does not exist, else the kernel's errors."""
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
    """The names in it. Raises as :func:`telling` does."""
    with telling(directory):
        return list(directory.iterdir())


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Errors of the file system on ``path`` as typed errors: it does not exist, no permission, read-only, or no space."""
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
