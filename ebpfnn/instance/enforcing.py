"""How long a guard acts: deadlines, where one is required, and what `ebpfnn apply` noted of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..kernel.routes import has_default_route
from ..network.events import SPEC
from ..session.guarding import Brakes
from .locks import telling

FOREVER = (1 << 63) - 1
"""The time until which a guard acts that has no deadline."""
_NOTE, _NEW, _NOTHING = "enforced", "enforced-new", "none"


def enforce_for(brakes: Brakes, seconds: float | None) -> None:
    """Lets a guard act from now on, for so many seconds, or without a deadline."""
    brakes.enforce(FOREVER if seconds is None else time.monotonic_ns() + int(seconds * 1e9))


def check_deadline(targets: Iterable[str | None], seconds: float | None, remedy: str = "give --for DURATION") -> None:
    """Raises :class:`UsageError` if one of ``targets`` is an interface by which this machine is reached, without a deadline."""
    for target in sorted(filter(None, targets)) if seconds is None else ():
        if not has_default_route(target):
            continue
        fact = f"interface '{target}' has a default route, so a wrong action may cut this machine off"
        raise UsageError(f"{fact}; {remedy}, after which it is in audit again")


def targets_of(events: Mapping[str, Any]) -> list[str | None]:
    """The targets of the events that a model or an instance carries."""
    return [event.get("target") for event in events[SPEC].get("event", ())] if events else []


def noted(path: Path) -> str:
    """What :func:`note` wrote for the instance at ``path``, '' if nothing."""
    with suppress(OSError):
        text = os.readlink(path / _NOTE)  # noqa: PTH115  # any text, not a path
        return "" if text == _NOTHING else text
    return ""


def note(path: Path, text: str) -> None:
    """Keeps ``text`` with the instance at ``path``, as what a symbolic link says: a BPF file system has no files to write."""
    with telling(path):
        with suppress(FileNotFoundError):
            (path / _NEW).unlink()
        (path / _NEW).symlink_to(text or _NOTHING)
        (path / _NEW).rename(path / _NOTE)
