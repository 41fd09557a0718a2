"""Control groups of a test's own, and processes in them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ebpfnn.errors import NotSupported
from ebpfnn.kernel import find_cgroup

_PATIENCE = 200


@contextmanager
def cgroup(name: str = "") -> Iterator[Path]:
    """A cgroup (version 2) with one below it, ``below``; both are removed at the end."""
    try:
        root = find_cgroup("")
    except NotSupported as lack:
        pytest.skip(str(lack))
    made = root / f"ebpfnn-test-{os.getpid()}{name}"
    (made / "below").mkdir(parents=True)
    try:
        yield made
    finally:
        for path in (made / "below", made):
            remove(path)


def is_root(path: Path) -> bool:
    """Whether every process of the machine is in the cgroup: that of a container's mount may be one below the root."""
    return not (path / "cgroup.type").exists()  # Documentation/admin-guide/cgroup-v2.rst


def remove(path: Path) -> None:
    """Removes a cgroup, whose processes have ended, but may not have been taken out of it yet."""
    for _ in range(_PATIENCE):
        try:
            return path.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{path} still has processes: {(path / 'cgroup.procs').read_text()}")


def start(work: Callable[[], object], inside: Path | None = None) -> int:
    """A process that does ``work`` in the cgroup ``inside``. Returns its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if inside is not None:
                enter(inside)
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def enter(path: Path) -> None:
    (path / "cgroup.procs").write_text("0")


def end_of(process: int) -> int:
    """The exit status of a process: negative is the number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
