"""Control groups (version 2): finds the directory of one, and opens it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import KernelError, NotSupported, nearest
from .fd import Descriptor
from .syscall import refusal

_MOUNTS = Path("/proc/self/mounts")


def find_cgroup(name: str) -> Path:
    """The directory of a cgroup, whose ``name`` is a path, or one relative to the mount point of the cgroup2 file system.

    Raises :class:`NotSupported` if none is mounted, and :class:`KernelError` (ENOENT), with similar names, if there is no such
    directory.
    """
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError as fault:
        fact = f"{_MOUNTS} cannot be read ({fault.strerror}), so cgroups are not found"
        raise NotSupported(f"{fact}; mount -t proc proc /proc") from None
    root = next((Path(entry[1]) for entry in mounts if entry[2] == "cgroup2"), None)
    if root is None:
        raise NotSupported("no cgroup2 file system is mounted; mount -t cgroup2 none DIRECTORY")
    path = root / name
    if path.is_dir():
        return path
    above = next(each for each in path.parents if each.is_dir())
    known = [str(each) for each in above.iterdir() if each.is_dir()]
    hint = (
        nearest(str(path), known) or f"; '{above}' has {', '.join(sorted(each.rpartition('/')[2] for each in known)) or 'none'}"
    )
    raise KernelError(f"cgroup '{name}' not found{hint}", errno.ENOENT)


def open_cgroup(cgroup: Path, what: str) -> Descriptor:
    """The open directory, which errors call ``what``. Raises :class:`KernelError` if it is no cgroup of version 2."""
    remedy = "give a directory of the cgroup2 mount, see /proc/mounts"
    try:
        held = Descriptor(os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), what)
    except OSError as fault:
        if fault.errno in (errno.ENOENT, errno.ENOTDIR):
            raise KernelError(f"{what}: there is no such directory; {remedy}", fault.errno) from None
        raise refusal(f"{what}: open", fault.errno or 0) from None
    if not (cgroup / "cgroup.controllers").exists():
        held.close()
        raise KernelError(f"{what}: this is not a cgroup of version 2; {remedy}")
    return held
