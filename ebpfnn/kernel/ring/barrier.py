"""Loads and stores in memory that the kernel reads and writes at the same time.

x86 keeps loads in order by itself; arm64 does not, and Python has no fences. A lock does: what precedes its release is done
before it, what follows the next acquisition is done after it (the two are ordered among themselves, Arm ARM B2.3).
"""

from __future__ import annotations

import mmap
import threading

_lock = threading.Lock()


def order() -> None:
    """What was read or written before this call is so before anything after it is."""
    with _lock:
        pass
    with _lock:
        pass


def load_acquire(memory: mmap.mmap, at: int) -> int:
    """The position (8 bytes, ``at`` a multiple of 8), read in one piece before anything after this call is read."""
    with memoryview(memory) as octets, octets.cast("Q") as words:
        value = words[at // 8]
    order()
    return value


def store_release(memory: mmap.mmap, at: int, value: int) -> None:
    """Sets the position (8 bytes, ``at`` a multiple of 8), in one piece, once all that was done before this call is seen.

    ``struct.pack_into`` would zero the place first, and a kernel that looks in between takes the ring for full, or empty.
    """
    order()
    with memoryview(memory) as octets, octets.cast("Q") as words:
        words[at // 8] = value
