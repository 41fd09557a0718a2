"""Reads a ring buffer of an instance, whose only reader it is."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..errors import SessionError
from ..kernel import RingBuffer
from .about import About
from .locks import try_lock
from .pins import ABOUT, Pins
from .store import LOCKS

_Told = TypeVar("_Told")
_Self = TypeVar("_Self", bound="Reader[Any]")


class Reader(ABC, Generic[_Told]):
    """The only reader of the ring buffer ``ring`` of the instance whose pins are in ``path``, by the lock of that name.

    ``about`` describes the instance. Raises :class:`SessionError` if another reader exists, and
    :class:`~ebpfnn.errors.KernelError` if the instance may not be opened.
    """

    def __init__(self, path: Path, lock: str, ring: str) -> None:
        self.path, self._closed, self._process = path, False, os.getpid()
        self._described: tuple[int, list[About | None]] = -1, []
        with ExitStack() as held:
            if not held.enter_context(try_lock(path / LOCKS / lock)):
                raise SessionError(
                    f"instance '{path.name}' is watched by another process, and only one can watch at a time; end that first"
                )
            self._pins = held.enter_context(Pins(path))
            self.about = self._pins.current()[1]
            self._check()
            self._ring = held.enter_context(RingBuffer(self._pins.maps[ring]))
            self._begin(held)
            self._held = held.pop_all()

    def read(self, timeout: float = 0.2) -> Iterator[_Told]:
        """The events since the last call. If there are none, waits for up to ``timeout`` seconds, at most one.

        Raises :class:`SessionError` if the instance was unloaded or detached, and after :meth:`close`.
        """
        if self._closed:
            raise SessionError(f"the watch of instance '{self.path.name}' is closed; begin another")
        self._pins.check_attached(self.about)
        self._renew()
        for record in self._ring.poll(min(timeout, 1)):
            yield self._event(record)

    def __iter__(self) -> Iterator[_Told]:
        """Every event from now on. When the instance is unloaded, it raises as :meth:`read` does."""
        while True:
            yield from self.read()

    def close(self) -> None:
        """Stops reading. May be called twice. In the child of a fork the parent's watch goes on."""
        self._closed = True
        self._held.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _answered(self, number: int) -> About:
        """The description of the network with that number, read again after a swap."""
        swaps = self._pins.swaps[0]
        if self._described[0] != swaps:
            self._described = swaps, [None, None]
        known = self._described[1]
        about = known[number & 1]
        if about is None:
            found = self._pins.maps[ABOUT].lookup((number & 1).to_bytes(4, "little")) or b""
            about = known[number & 1] = About.decode(found)
        return about

    def _check(self) -> None:
        """Raises if ``about`` describes an instance without such a ring buffer."""

    def _begin(self, held: ExitStack) -> None:
        """Called before the first :meth:`read`. What is to be done at the end is added to ``held``."""

    def _renew(self) -> None:
        """Called before each :meth:`read`."""

    @abstractmethod
    def _event(self, record: bytes) -> _Told:
        """What one record of the ring buffer tells."""
