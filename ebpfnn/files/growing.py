"""A file that is written piece by piece beside the one that it will replace, with room reserved before each piece."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .files import check_replaceable, remember, usual_mode
from .staging import stage

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says if a file may not grow: the disk is full, or a limit of the user or of the process is reached."""
_BUFFER = 1 << 20


class Growing:
    """``file`` is where to write. What is reserved can be written and closed although the disk is full."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.kept = False
        self._reserved = 0

    def reserve(self, size: int) -> None:
        """Makes room for ``size`` bytes in total. Raises :class:`OSError`, of :data:`FULL` if there is none."""
        if size > self._reserved:
            os.posix_fallocate(self.file.fileno(), 0, size)
            self._reserved = size

    def keep(self) -> None:
        """Says that what was written is whole: it replaces the file when the context ends."""
        self.kept = True


@contextmanager
def growing(path: Path) -> Iterator[Growing]:
    """A new file beside ``path``, which replaces it at the end if it is to be kept, with what was written then.

    Otherwise, and on every failure, ``path`` is unchanged. Raises :class:`OSError`.
    """
    check_replaceable(path)
    with stage(path.parent) as (beside, descriptor):
        with open(descriptor, "r+b", buffering=_BUFFER, closefd=False) as file:
            held = Growing(file)
            yield held
            if not held.kept:
                return
            file.flush()
            os.ftruncate(descriptor, file.tell())
        os.fchmod(descriptor, usual_mode())
        os.fsync(descriptor)
        os.replace(beside, path)  # noqa: PTH105
    remember(path.parent)
