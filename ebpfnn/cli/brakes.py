"""What the verbs of guards say of one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..instance.enforcing import FOREVER
from ..instance.guarded import INTERNAL
from ..session.guarding import Brakes


def state(brakes: Brakes) -> dict[str, Any]:
    """Whether it acts, and for how many seconds more: None without a deadline."""
    left = max(0, brakes.until_ns - time.monotonic_ns())
    return {"enforcing": left > 0, "paused": brakes.paused, "seconds_left": None if brakes.until_ns >= FOREVER else left / 1e9}


def described(guard: Mapping[str, Any], brakes: Brakes) -> dict[str, Any]:
    """A guard for scripts: action and policy, and whether it acts. What else its instance needs to know is left out."""
    return {**{name: value for name, value in guard.items() if name not in INTERNAL}, **state(brakes)}


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
