"""Control groups: hooks on what the processes of a cgroup (version 2) do with sockets, devices and sysctls."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ...errors import KernelError
from ...obj.uapi import AttachType
from ..fd import Descriptor
from ..load.program import Program
from ..syscall import refusal
from .link import Link
from .prog_attach import link_or_attach

_ALLOW_MULTI = 1 << 1  # BPF_F_ALLOW_MULTI; a link always implies it


def attach_cgroup(program: Program, cgroup: Path | str, attach_type: AttachType) -> Link:
    """Attaches to a cgroup and its descendants, in addition to the programs already attached (a link since Linux 5.7).

    ``cgroup`` is a directory of a cgroup2 file system. Raises :class:`~ebpfnn.errors.KernelError`.
    """
    what = f"{attach_type.name.lower()} of cgroup '{cgroup}'"
    with _open(Path(cgroup), what) as held:
        return link_or_attach(program, held, attach_type, what, _ALLOW_MULTI)


def _open(cgroup: Path, what: str) -> Descriptor:
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
