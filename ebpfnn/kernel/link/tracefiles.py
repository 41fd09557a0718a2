"""tracefs: the files that list tracepoints and traceable functions."""

from __future__ import annotations

from pathlib import Path

from ...errors import NotSupported

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))


def tracefs() -> Path:
    """Where tracefs is mounted. Raises :class:`~ebpfnn.errors.NotSupported` with the command that mounts it."""
    for place in TRACEFS:
        try:
            (place / "events").stat()
        except FileNotFoundError:
            continue
        except PermissionError:
            raise closed(place) from None
        return place
    raise NotSupported(f"tracefs is not mounted; mount -t tracefs tracefs {TRACEFS[0]}")


def closed(place: Path) -> NotSupported:
    """What to raise where this user may not read in ``place``, where tracefs is mounted."""
    remedy = f"run as root, or give a group access: mount -o remount,gid=GROUP,mode=750 {place}"
    return NotSupported(f"tracefs '{place}': this user has no access; {remedy}")


def traceable_functions() -> list[str]:
    """The kernel functions that can be probed or traced, modules' included; none where tracefs does not list them."""
    try:
        lines = (tracefs() / "available_filter_functions").read_text().splitlines()
    except (NotSupported, OSError):
        return []
    return [line.partition(" ")[0] for line in lines]
