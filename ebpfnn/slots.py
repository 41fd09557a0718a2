"""The slots of a loaded shell: memory shared with the kernel, one sample and one result a calling thread."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import abi
from .errors import KernelError, SessionError
from .kernel import NOEXIST, Map


class Slots:
    """``samples`` is uint8 [slots, *shape] and ``results`` :data:`abi.RESULT` [slots], both in place: nothing is copied.

    A thread gets its slot at its first call, and gives it up when it ends.
    """

    def __init__(self, maps: Mapping[str, Map], shape: tuple[int, ...]) -> None:
        self.samples = _view(maps[abi.SAMPLES], np.dtype(np.uint8), shape)
        self.results = _view(maps[abi.RESULTS], abi.RESULT)
        self._callers = maps.get(abi.CALLERS)
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._taken: dict[int, int] = {}

    def mine(self) -> int:
        """The calling thread's slot. Raises :class:`SessionError` where none is free, or after a fork."""
        if os.getpid() != self._process:
            raise SessionError(f"this session belongs to process {self._process}; open another after a fork")
        thread = threading.get_native_id()
        slot = self._taken.get(thread)
        return self._claim(thread) if slot is None else slot

    def _claim(self, thread: int) -> int:
        with self._lock:
            threading.current_thread()  # makes a thread that Python did not start count among the living
            self._give_up_dead_threads()
            free = set(range(len(self.samples))) - set(self._taken.values())
            if not free:
                raise SessionError(f"all {len(self.samples)} slots are taken; call from fewer threads, or open another session")
            if self._callers is not None:
                _register(self._callers, thread, min(free))
            self._taken[thread] = min(free)
            return self._taken[thread]

    def _give_up_dead_threads(self) -> None:
        living = {thread.native_id for thread in threading.enumerate()}
        for thread in self._taken.keys() - living:
            del self._taken[thread]
            if self._callers is not None:
                self._callers.delete(struct.pack("<I", thread))


def _register(callers: Map, thread: int, slot: int) -> None:
    try:
        callers.update(struct.pack("<I", thread), struct.pack("<I", slot), NOEXIST)
    except KernelError as refusal:
        if refusal.errno == errno.EEXIST:
            raise SessionError(f"thread {thread} has a slot already; use one session a thread on one loaded network") from None
        raise


def _view(held: Map, dtype: np.dtype[Any], shape: tuple[int, ...] = ()) -> NDArray[Any]:
    """An array of slots over the map's own memory: what is written here the kernel reads, and the other way round."""
    strides = (held.element_stride, *np.empty(shape, dtype).strides)
    slots: NDArray[Any] = np.ndarray((held.max_entries, *shape), dtype, buffer=held.mmap(), strides=strides)
    return slots
