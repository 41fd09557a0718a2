"""Ordering of loads and stores in memory that the kernel writes at the same time.

x86 keeps loads in order by itself; arm64 does not, and Python has no fences. A lock does: what precedes its release is done
before it, what follows the next acquisition is done after it (the two are ordered among themselves, Arm ARM B2.3).
"""

from __future__ import annotations

import threading

_lock = threading.Lock()


def order() -> None:
    """What was read or written before this call is so before anything after it is."""
    with _lock:
        pass
    with _lock:
        pass
