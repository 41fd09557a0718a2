"""Assigns slots to threads if threads of several processes share them."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..abi import MAX_SLOTS
from ..errors import SessionError
from ..kernel import Map
from ..kernel.threads import exists, is_ours
from ..session.slots import Ready, register
from .locks import locked, open_directory

_WORD = struct.Struct("<I")
# Who claimed here, by map and thread id. The id alone may be that of a thread that ended, in any process.
_claimed: dict[tuple[int, int], tuple[SharedClaims, threading.Thread]] = {}
os.register_at_fork(after_in_child=_claimed.clear)  # they belong to the parent


class SharedClaims:
    """The slots of an instance, by thread id in its map ``callers``. A claim locks the directory ``place``.

    The slot of a thread that has ended, in any process, is reused. Raises :class:`SessionError` if ``place`` was removed, and
    after :meth:`close`.
    """

    def __init__(self, callers: Map, place: Path) -> None:
        self._callers, self._map, self._process = callers, callers.info().id, os.getpid()
        self._place, self._lock = open_directory(place), threading.Lock()  # flock(2) only excludes other processes

    def claim(self, thread: int, ready: Ready) -> int:
        with self._claiming():
            taken, key, caller = self._taken(), (self._map, thread), threading.current_thread()
            claims, owner = _claimed.get(key, (None, None))
            # The session forgot its slot: Python knows a thread that it did not start only during one call.
            if thread in taken and claims is self:
                _claimed[key] = self, caller
                return taken[thread]
            gone = {each for each in taken if (owner is not caller if each == thread else self._has_gone(each))}
            free = set(range(MAX_SLOTS)) - {slot for each, slot in taken.items() if each not in gone}
            self._forget(gone)
            if not free:
                raise SessionError(f"all {MAX_SLOTS} slots are used by running threads; end some, or load another instance")
            ready(min(free))
            register(self._callers, thread, min(free))
            _claimed[key] = self, caller
            return min(free)

    def close(self) -> None:
        """Frees the slots that were claimed here. In the child of a fork it does nothing, since they belong to the parent."""
        if self._process != os.getpid():
            self._place.close()
            return
        with self._lock:
            if not self._place.closed:
                with self._place:
                    self._give_back()

    @contextmanager
    def _claiming(self) -> Iterator[None]:
        with self._lock:
            if self._place.closed:
                raise SessionError("this session is closed; open another")
            with locked(self._place):
                yield

    def _give_back(self) -> None:
        own = {thread for (held, thread), (claims, _) in [*_claimed.items()] if held == self._map and claims is self}
        with locked(self._place):
            taken = self._taken()
            self._forget({thread for thread in own & taken.keys() if is_ours(thread) or not exists(thread)})
        for thread in own:  # the rest: another process now has a thread with that id, which may have claimed a slot
            _claimed.pop((self._map, thread), None)

    def _forget(self, threads: set[int]) -> None:
        for thread in threads:
            self._callers.delete(_WORD.pack(thread))
            _claimed.pop((self._map, thread), None)

    def _taken(self) -> dict[int, int]:
        return {_WORD.unpack(key)[0]: _WORD.unpack(value)[0] for key, value in self._callers.items()}

    def _has_gone(self, thread: int) -> bool:
        """Whether the thread has ended. For this process Python decides: the kernel's thread exists a moment after join()."""
        if not is_ours(thread):
            return not exists(thread)
        _, owner = _claimed.get((self._map, thread), (None, None))
        return owner is not None and not owner.is_alive()
