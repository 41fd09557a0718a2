"""Files and directories while they are written, beside those that they will replace.

A writer holds flock(2) on its file or directory. The kernel releases the lock however the process ends, including kill -9. A
file with our name pattern and without a lock was left by a killed process, and the next writer removes it. Only files of the
same user are removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".ebpfnn-part-"
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FOUND = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def stage(directory: Path, *, folder: bool = False) -> Iterator[tuple[Path, int]]:
    """A new, empty file or directory in ``directory``, which only its owner can open, and a descriptor of it.

    What has its name at the end is removed: nothing after a rename, the old directory after an exchange. Raises
    :class:`OSError` if it cannot be made.
    """
    sweep(directory)
    path, descriptor = _made(directory, folder=folder)
    try:
        yield path, descriptor
    finally:
        _remove(path)
        os.close(descriptor)


def sweep(directory: Path) -> None:
    """Removes what killed writers left in ``directory``, as far as this user may."""
    with suppress(OSError):
        for name in os.listdir(directory):  # noqa: PTH208  # whose iterator would hold the directory open meanwhile
            if name.startswith(PREFIX):
                with suppress(OSError):
                    _remove_if_left(directory / name)


def _made(directory: Path, *, folder: bool) -> tuple[Path, int]:
    """Creation and locking are two steps. If a sweeper removes the new file between them, it is created again."""
    while True:
        path = directory / (PREFIX + os.urandom(8).hex())
        descriptor = _new_folder(path) if folder else os.open(path, _NEW, 0o600)
        with suppress(OSError):  # no locks on this file system: a sweeper cannot lock either, and removes nothing
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_at(path, descriptor):
            return path, descriptor
        os.close(descriptor)


def _new_folder(path: Path) -> int:
    while True:
        path.mkdir(0o700)
        with suppress(FileNotFoundError):  # removed by a sweeper
            return os.open(path, _FOUND | os.O_DIRECTORY)


def _remove_if_left(path: Path) -> None:
    descriptor = os.open(path, _FOUND)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_uid == os.geteuid() and _is_at(path, descriptor):
            _remove(path)
    finally:
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
