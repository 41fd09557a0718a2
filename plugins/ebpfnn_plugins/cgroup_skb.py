"""The ``cgroup_skb`` trigger: requests that the sockets of a control group receive or send."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from ebpfnn.kernel import Link, Program, attach_cgroup, find_cgroup
from ebpfnn.obj import AttachType, ProgramType
from ebpfnn.plugin import Trigger, hookimpl

from .packets import OPTIONS
from .watched import WatchingTrigger


class CgroupSkbTrigger(WatchingTrigger):
    """The target is a directory of the cgroup2 file system, or a path relative to its mount point."""

    name = "cgroup_skb"
    summary = "UDP requests that the sockets of a cgroup receive or send; they are passed on"
    takes = "a cgroup, such as system.slice"
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
        return find_cgroup(target)

    def link(self, program: Program, target: str) -> Link:
        egress = self.chosen["direction"] == "egress"
        attach_type = AttachType.CGROUP_INET_EGRESS if egress else AttachType.CGROUP_INET_INGRESS
        return attach_cgroup(program, find_cgroup(target), attach_type)


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [CgroupSkbTrigger()]
