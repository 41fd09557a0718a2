"""What the verbs of guards say of one."""

from __future__ import annotations

import time
from typing import Any

from ..instance.enforcing import FOREVER
from ..session.guarding import Brakes


def state(brakes: Brakes) -> dict[str, Any]:
    """Whether it acts, and for how many seconds more: None without a deadline."""
    left = max(0, brakes.until_ns - time.monotonic_ns())
    return {"enforcing": left > 0, "paused": brakes.paused, "seconds_left": None if brakes.until_ns >= FOREVER else left / 1e9}


def mode(brakes: Brakes) -> str:
    """The same for people."""
    told = state(brakes)
    if not told["enforcing"]:
        found = "audit, acts on nothing"
    elif told["seconds_left"] is None:
        found = "enforcing"
    else:
        found = f"enforcing for {told['seconds_left']:.0f} s more"
    return found + (", paused" if told["paused"] else "")
