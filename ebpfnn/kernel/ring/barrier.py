"""Loads and stores in memory that the kernel reads and writes at the same time.

x86 keeps loads in order; arm64 does not, and Python has no fences. A lock works as a fence: accesses before its release happen
before it, and accesses after the next acquisition happen after it (the two are ordered, Arm ARM B2.3).
"""

from __future__ import annotations

import mmap
import threading

_lock = threading.Lock()


def order() -> None:
    """Orders all reads and writes before this call before those after it."""
    with _lock:
        pass
    with _lock:
        pass


def load_acquire(memory: mmap.mmap, at: int) -> int:
    """Reads the position (8 bytes, ``at`` a multiple of 8) atomically, before any read after this call."""
    with memoryview(memory) as octets, octets.cast("Q") as words:
        value = words[at // 8]
    order()
    return value


def store_release(memory: mmap.mmap, at: int, value: int) -> None:
    """Sets the position (8 bytes, ``at`` a multiple of 8) atomically, after all accesses before this call are visible.

    ``struct.pack_into`` would zero the bytes first, and a kernel that reads in between would see a full or empty ring.
    """
    order()
    with memoryview(memory) as octets, octets.cast("Q") as words:
        words[at // 8] = value
