"""tracefs: the files through which the kernel names its tracepoints and traceable functions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from ..errors import NotSupported

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))


def tracefs() -> Path:
    """Where tracefs is mounted. Raises :class:`~ebpfnn.errors.NotSupported` with the command that mounts it."""
    for place in TRACEFS:
        try:
            if (place / "events").exists():
                return place
        except PermissionError:
            raise NotSupported(f"tracefs: '{place}' is closed to this user; run as root, or mount it with gid= yours") from None
    raise NotSupported(f"tracefs is not mounted; mount -t tracefs tracefs {TRACEFS[0]}")


def traceable_functions() -> list[str]:
    """The kernel functions that can be probed or traced, modules' included; none where tracefs does not list them."""
    try:
        lines = (tracefs() / "available_filter_functions").read_text().splitlines()
    except (NotSupported, OSError):
        return []
    return [line.partition(" ")[0] for line in lines]


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean a, b?``, or nothing where nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.7)
    return f"; did you mean {', '.join(near)}?" if near else ""
