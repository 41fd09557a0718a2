"""Which slot a thread gets where threads of many processes share them."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..abi import MAX_SLOTS
from ..errors import SessionError
from ..kernel import Map
from ..kernel.fd import Descriptor
from ..slots import register

_WORD = struct.Struct("<I")
# Who claimed here, by map and thread id: a number alone may be that of a thread that ended, in whatever process.
_claimed: dict[tuple[int, int], threading.Thread] = {}


class SharedClaims:
    """The slots of an instance, by thread id in its map ``callers``; a claim takes the lock of the directory ``place``.

    A slot whose thread has gone, of whatever process, is given out again.
    """

    def __init__(self, callers: Map, place: Path) -> None:
        self._callers, self._map, self._process = callers, callers.info().id, os.getpid()
        self._place = Descriptor(os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), str(place))
        self._own: set[int] = set()

    def claim(self, thread: int) -> int:
        with self._lock():
            self._give_up_dead_threads(thread)
            free = set(range(MAX_SLOTS)) - set(self._taken().values())
            if not free:
                raise SessionError(f"all {MAX_SLOTS} slots are taken by living threads; end some, or load another instance")
            number = min(free)
            register(self._callers, thread, number)
            self._own.add(thread)
            _claimed[self._map, thread] = threading.current_thread()
            return number

    def close(self) -> None:
        """Gives back what was claimed here; after a fork it is the parent's, and stays."""
        if self._place.closed:
            return
        if self._process == os.getpid():
            self._give_back()
        self._place.close()

    def _give_back(self) -> None:
        with self._lock():
            for thread in self._own & self._taken().keys():
                owner = _claimed.pop((self._map, thread), None)
                if owner and (owner.is_alive() or not _lives(thread)):  # else another process has a thread of that number now
                    self._callers.delete(_WORD.pack(thread))

    def _taken(self) -> dict[int, int]:
        return {_WORD.unpack(key)[0]: _WORD.unpack(value)[0] for key, value in self._callers.items()}

    def _give_up_dead_threads(self, claiming: int) -> None:
        for thread in self._taken():
            own = thread == claiming and _claimed.get((self._map, thread)) is threading.current_thread()
            if not own and (thread == claiming or not _lives(thread)):
                self._callers.delete(_WORD.pack(thread))
                _claimed.pop((self._map, thread), None)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        fcntl.flock(self._place.fileno(), fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._place.fileno(), fcntl.LOCK_UN)


def _lives(thread: int) -> bool:
    """Signal 0 finds any thread by its id, another user's too, whom /proc may hide (kill(2), proc(5))."""
    try:
        os.kill(thread, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
