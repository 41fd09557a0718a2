"""What this process holds open."""

from __future__ import annotations

from pathlib import Path


def descriptors() -> dict[int, str]:
    """The open descriptors, and what each is of."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:  # the descriptor that listed the directory
            continue
    return found
