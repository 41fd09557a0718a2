"""The ``cgroup_skb`` trigger: requests that the sockets of a control group receive or send."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType

from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.kernel import Link, Program, attach_cgroup
from ebpfnn.obj import AttachType, ProgramType
from ebpfnn.plugin import Trigger, hookimpl, nearest

from .packets import OPTIONS
from .watched import WatchingTrigger

_MOUNTS = Path("/proc/self/mounts")


class CgroupSkbTrigger(WatchingTrigger):
    """The target is a directory of the cgroup2 file system, or a path relative to its mount point."""

    name = "cgroup_skb"
    summary = "UDP requests that the sockets of a cgroup receive or send; they are passed on"
    program_type = ProgramType.CGROUP_SKB
    choices = MappingProxyType({"direction": ("ingress", "egress")})
    options = MappingProxyType(
        {**OPTIONS, "direction": "ingress (the default): packets that its sockets receive; egress: packets that they send"}
    )

    def entry(self) -> str:
        return self.observing_entry()

    def observing_entry(self) -> str:
        return f"ebpfnn_cgroup_{self.chosen['direction']}"

    def guarded_entry(self) -> str:
        return f"ebpfnn_cgroup_guard_{self.chosen['direction']}"

    def find(self, target: str) -> object:
        return _directory(target)

    def link(self, program: Program, target: str) -> Link:
        egress = self.chosen["direction"] == "egress"
        attach_type = AttachType.CGROUP_INET_EGRESS if egress else AttachType.CGROUP_INET_INGRESS
        return attach_cgroup(program, _directory(target), attach_type)


def _directory(target: str) -> Path:
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError as fault:
        fact = f"{_MOUNTS} cannot be read ({fault.strerror}), so cgroups are not found"
        raise NotSupported(f"{fact}; mount -t proc proc /proc") from None
    root = next((Path(entry[1]) for entry in mounts if entry[2] == "cgroup2"), None)
    if root is None:
        raise NotSupported("no cgroup2 file system is mounted; mount -t cgroup2 none DIRECTORY")
    path = root / target
    if path.is_dir():
        return path
    above = next(each for each in path.parents if each.is_dir())
    known = [str(each) for each in above.iterdir() if each.is_dir()]
    hint = (
        nearest(str(path), known) or f"; '{above}' has {', '.join(sorted(each.rpartition('/')[2] for each in known)) or 'none'}"
    )
    raise KernelError(f"cgroup '{target}' not found{hint}", errno.ENOENT)


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [CgroupSkbTrigger()]
