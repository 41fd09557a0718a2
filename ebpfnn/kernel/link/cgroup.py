"""Control groups: hooks on what the processes of a cgroup (version 2) do with sockets, devices and sysctls."""

from __future__ import annotations

from pathlib import Path

from ...obj.uapi import AttachType
from ..cgroups import open_cgroup
from ..load.program import Program
from .link import Link
from .prog_attach import link_or_attach

_ALLOW_MULTI = 1 << 1  # BPF_F_ALLOW_MULTI; a link always implies it


def attach_cgroup(program: Program, cgroup: Path | str, attach_type: AttachType) -> Link:
    """Attaches to a cgroup and its descendants, in addition to the programs already attached (a link since Linux 5.7).

    ``cgroup`` is a directory of a cgroup2 file system. Raises :class:`~ebpfnn.errors.KernelError`.
    """
    what = f"{attach_type.name.lower()} of cgroup '{cgroup}'"
    with open_cgroup(Path(cgroup), what) as held:
        return link_or_attach(program, held, attach_type, what, _ALLOW_MULTI)
