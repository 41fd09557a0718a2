"""Ownership of one file descriptor."""

from __future__ import annotations

import os
import warnings
from types import TracebackType
from typing import TypeVar

from ..errors import KernelError

_Self = TypeVar("_Self", bound="Descriptor")


class Descriptor:
    """A kernel object that lives as long as its descriptor: a map, a program, a link.

    Close it, or use it in a ``with`` statement; otherwise it is closed with a :class:`ResourceWarning`.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self.name = name

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def fileno(self) -> int:
        """The descriptor. Raises :class:`KernelError` if it is closed."""
        if self._fd < 0:
            raise KernelError(f"{type(self).__name__.lower()} '{self.name}' is closed; open it again")
        return self._fd

    def release(self) -> int:
        """Gives the descriptor to the caller, who must close it."""
        fd, self._fd = self.fileno(), -1
        return fd

    def close(self) -> None:
        """Closes the descriptor. May be called more than once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} fd={self._fd if self._fd >= 0 else 'closed'}>"

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            try:
                warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            finally:  # where warnings are errors too
                self.close()
