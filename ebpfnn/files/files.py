"""Files and directories that appear whole or not at all, and reading that is bounded before it begins.

What replaces a file or directory is written beside it, made to last with fsync(2), and renamed over it. Of a process that is
killed meanwhile, the next one to write there removes what was left: see :mod:`.staging`.
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
    """What the regular file ``path`` holds.

    Raises :class:`ModelError`, ending with ``remedy``, where it is absent, no regular file, or larger than ``limit`` bytes.
    """
    try:
        # O_NONBLOCK: a FIFO that nobody writes to must not block the open.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelError(f"{path}: not a regular file; {remedy}")
            data = bytes(take(file, limit + 1))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except MemoryError as error:
        raise ModelError(f"{path}: takes more memory than there is; raise the limit (ulimit -v), or {remedy}") from error
    except ValueError as error:  # a zero byte in the name
        raise ModelError(f"{str(path)!r}: not a valid file name; {remedy}") from error
    if len(data) > limit:
        raise ModelError(f"{path}: larger than {f'{limit >> 20} MiB' if limit >> 20 else f'{limit} bytes'}; {remedy}")
    return data


def is_file(path: Path) -> bool:
    """Whether ``path`` is a regular file; of a name that no file can have, pathlib's own would raise."""
    return os.path.isfile(path)  # noqa: PTH113


def replace(path: Path, data: bytes) -> None:
    """Makes ``path`` a file of ``data``, or leaves it as it was and raises :class:`OSError`, as where it is a device or FIFO.

    A symbolic link to a regular file, or to nothing, is itself replaced: what it points to stays.
    """
    if path.exists() and not path.is_file():
        number = errno.EISDIR if path.is_dir() else errno.EEXIST
        raise OSError(number, "Is a directory" if path.is_dir() else "is not a regular file", str(path))
    with stage(path.parent) as (beside, descriptor):
        os.fchmod(descriptor, 0o666 & ~_umask())
        _fill(descriptor, data)
        os.replace(beside, path)  # noqa: PTH105
    _remember(path.parent)


def replace_directory(path: Path, files: Mapping[str, bytes]) -> None:
    """Makes ``path`` a directory of these files and no others, or leaves it as it was and raises :class:`OSError`.

    Whether a former one may go is the caller's to ask: see :func:`strangers`.
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
    _remember(path.parent)


def strangers(path: Path, known: re.Pattern[str]) -> list[str]:
    """The names in the directory ``path`` that are not ``known``; none where there is no directory yet.

    Raises :class:`OSError` where ``path`` is something else, or may not be read.
    """
    names = os.listdir(path) if os.path.lexists(path) else []  # noqa: PTH208
    return sorted(name for name in names if not known.fullmatch(name))


def _exchange(path: Path, beside: Path) -> None:
    """Renames ``beside`` to ``path``, and what was there to ``beside``, in one step where the file system can."""
    if not path.exists():
        beside.rename(path)
    elif _libc.renameat2(_AT_FDCWD, os.fsencode(beside), _AT_FDCWD, os.fsencode(path), _RENAME_EXCHANGE):
        _exchange_in_steps(path, beside)


def _exchange_in_steps(path: Path, beside: Path) -> None:
    """For file systems without RENAME_EXCHANGE, such as NFS; killed between the renames, it is taken back by the next."""
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
    """Where a process was killed in :func:`_exchange_in_steps`, the former directory is whole under its other name."""
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


def _remember(directory: Path) -> None:
    """Makes the names in ``directory`` last."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """There is no way to read it but to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
