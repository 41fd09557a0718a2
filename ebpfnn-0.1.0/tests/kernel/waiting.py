"""Waiting for what the kernel does a little later, as long as it takes and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable

_PATIENCE = 20.0  # seconds; only a failing test waits that long


def wait_until(condition: Callable[[], bool]) -> bool:
    """Whether the condition came true."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True
