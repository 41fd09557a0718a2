"""Writes files and directories completely or not at all, and bounds reads before they begin.

A replacement is written beside the file or directory, flushed with fsync(2), and renamed over it. If a process is killed
meanwhile, the next one that writes there removes its remains: see :mod:`.staging`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from ..errors import ModelError
from .staging import stage
from .streams import take

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # include/uapi/linux/fcntl.h and fs.h


def read(path: Path, limit: int, remedy: str) -> bytes:
    """The content of the regular file ``path``.

    Raises :class:`ModelError`, ending with ``remedy``, if it does not exist, is not a regular file, or is larger than ``limit``
    bytes.
    """
    try:
        # O_NONBLOCK: the open must not block on a FIFO without a writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelError(f"{path}: not a regular file; {remedy}")
            data = bytes(take(file, limit + 1))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except MemoryError as error:
        raise ModelError(f"{path}: takes more memory than there is; raise the limit (ulimit -v), or {remedy}") from error
    except ValueError as error:  # a NUL byte in the name
        raise ModelError(f"{str(path)!r}: not a valid file name; {remedy}") from error
    if len(data) > limit:
        raise ModelError(f"{path}: larger than {f'{limit >> 20} MiB' if limit >> 20 else f'{limit} bytes'}; {remedy}")
    return data


def is_file(path: Path) -> bool:
    """Whether ``path`` is a regular file. False for an invalid name, for which pathlib raises."""
    return os.path.isfile(path)  # noqa: PTH113


def replace(path: Path, data: bytes) -> None:
    """Writes ``data`` to the file ``path``. On failure leaves it unchanged and raises :class:`OSError`.

    A device or FIFO is such a failure. A symbolic link to a regular file, or to nothing, is itself replaced. Its target stays.
    """
    check_replaceable(path)
    with stage(path.parent) as (beside, descriptor):
        os.fchmod(descriptor, usual_mode())
        _fill(descriptor, data)
        os.replace(beside, path)  # noqa: PTH105
    remember(path.parent)


def check_replaceable(path: Path) -> None:
    """Raises :class:`OSError` if ``path`` exists and is not a regular file."""
    if path.exists() and not path.is_file():
        number = errno.EISDIR if path.is_dir() else errno.EEXIST
        raise OSError(number, "Is a directory" if path.is_dir() else "is not a regular file", str(path))


def replace_directory(path: Path, files: Mapping[str, bytes]) -> None:
    """Replaces the directory ``path`` by one with only these files. On failure leaves it unchanged and raises :class:`OSError`.

    The caller decides whether an existing directory may be replaced: see :func:`strangers`.
    """
    path = path.resolve()
    _take_back(path)
    with stage(path.parent, folder=True) as (beside, descriptor):
        for name, data in files.items():
            with open(beside / name, "xb") as file:
                _fill(file.fileno(), data)
        os.fchmod(descriptor, 0o777 & ~_umask())
        os.fsync(descriptor)
        _exchange(path, beside)
    remember(path.parent)


def strangers(path: Path, known: re.Pattern[str]) -> list[str]:
    """The names in the directory ``path`` that are not ``known``. Empty if the directory does not exist yet.

    Raises :class:`OSError` if ``path`` is not a directory, or may not be read.
    """
    names = os.listdir(path) if os.path.lexists(path) else []  # noqa: PTH208
    return sorted(name for name in names if not known.fullmatch(name))


def _exchange(path: Path, beside: Path) -> None:
    """Renames ``beside`` to ``path``, and the old ``path`` to ``beside``, atomically if the file system can."""
    if not path.exists():
        beside.rename(path)
    elif _libc.renameat2(_AT_FDCWD, os.fsencode(beside), _AT_FDCWD, os.fsencode(path), _RENAME_EXCHANGE):
        _exchange_in_steps(path, beside)


def _exchange_in_steps(path: Path, beside: Path) -> None:
    """For file systems without RENAME_EXCHANGE, such as NFS. If killed between the renames, the next process undoes it."""
    former = _former(path)
    path.rename(former)
    try:
        beside.rename(path)
    except BaseException:
        former.rename(path)
        raise
    former.rename(beside)


def _former(path: Path) -> Path:
    return path.with_name(f".ebpfnn-former-{path.name}")


def _take_back(path: Path) -> None:
    """After a kill in :func:`_exchange_in_steps`, restores the old directory, which is complete under its other name."""
    former = _former(path)
    if os.path.lexists(path):
        shutil.rmtree(former, ignore_errors=True)
    elif former.is_dir():
        former.rename(path)


def _fill(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def remember(directory: Path) -> None:
    """Makes the names in ``directory`` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def usual_mode() -> int:
    """The permissions of a new file: what the umask allows."""
    return 0o666 & ~_umask()


def _umask() -> int:
    """The umask. The only way to read it is to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
