"""A cgroup for what runs in a root, so that all of it can be ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PLACE = Path("/sys/fs/cgroup")
_PATIENCE = 30.0


@contextmanager
def own_cgroup(name: str) -> Iterator[Path]:
    """A directory in the cgroup2 file system. At the end whatever runs in it is killed, and it is removed."""
    group = hierarchy() / name
    group.mkdir()
    try:
        yield group
    finally:
        end(group)


def hierarchy() -> Path:
    """Where cgroup2 is mounted, first of all mounted there if it is nowhere."""
    found = mounted(Path("/proc/self/mounts").read_text())
    if found is None:
        print(f"mounting cgroup2 on {_PLACE}", flush=True)
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", _PLACE], check=True)
    return found or _PLACE


def mounted(mounts: str) -> Path | None:
    """The first mount of cgroup2 in the text of /proc/self/mounts."""
    return next((Path(words[1]) for words in map(str.split, mounts.splitlines()) if words[2] == "cgroup2"), None)


def end(group: Path) -> None:
    """Kills what runs in the cgroup and below, and removes both. Raises SystemExit if something does not die."""
    deadline = time.monotonic() + _PATIENCE
    while _is_populated(group):
        for pid in _processes(group):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise SystemExit(f"fresh: processes {_processes(group)} in {group} do not end; kill them, and remove it")
        time.sleep(0.05)
    for directory in sorted((path.parent for path in group.rglob("cgroup.procs")), reverse=True):
        directory.rmdir()


def _is_populated(group: Path) -> bool:
    """Whether anything is in it or below, which a process is for a while after it left the list of processes."""
    return "populated 1" in (group / "cgroup.events").read_text()


def _processes(group: Path) -> list[int]:
    return [int(pid) for path in group.rglob("cgroup.procs") for pid in path.read_text().split()]
