"""Section names, and the program types they stand for (libbpf's docs, "Program Types and ELF Sections", libbpf 1.5)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

SLEEPABLE = 1 << 4  # BPF_F_SLEEPABLE


class ProgramType(IntEnum):
    """BPF_PROG_TYPE_* (include/uapi/linux/bpf.h)."""

    SOCKET_FILTER = 1
    KPROBE = 2
    SCHED_CLS = 3
    TRACEPOINT = 5
    XDP = 6
    PERF_EVENT = 7
    CGROUP_SKB = 8
    RAW_TRACEPOINT = 17
    SYSCALL = 31


class SectionKind(NamedTuple):
    """What a section name says of the programs in it."""

    type: ProgramType
    expected_attach_type: int = 0
    flags: int = 0


_KINDS = {
    "socket": SectionKind(ProgramType.SOCKET_FILTER),
    "kprobe": SectionKind(ProgramType.KPROBE),
    "kretprobe": SectionKind(ProgramType.KPROBE),
    "uprobe": SectionKind(ProgramType.KPROBE),
    "uretprobe": SectionKind(ProgramType.KPROBE),
    "tc": SectionKind(ProgramType.SCHED_CLS),
    "classifier": SectionKind(ProgramType.SCHED_CLS),
    "tracepoint": SectionKind(ProgramType.TRACEPOINT),
    "tp": SectionKind(ProgramType.TRACEPOINT),
    "raw_tracepoint": SectionKind(ProgramType.RAW_TRACEPOINT),
    "raw_tp": SectionKind(ProgramType.RAW_TRACEPOINT),
    "xdp": SectionKind(ProgramType.XDP, 37),  # BPF_XDP
    "perf_event": SectionKind(ProgramType.PERF_EVENT),
    "cgroup_skb/ingress": SectionKind(ProgramType.CGROUP_SKB, 0),
    "cgroup_skb/egress": SectionKind(ProgramType.CGROUP_SKB, 1),
    "syscall": SectionKind(ProgramType.SYSCALL, flags=SLEEPABLE),
}


def section_kind(name: str) -> SectionKind | None:
    """What ``SEC(name)`` stands for, None where nothing is known of it. ``tp/syscalls/sys_enter_getcpu`` is a ``tp``."""
    name = name.removeprefix("?")
    while name:
        if name in _KINDS:
            return _KINDS[name]
        name = name.rpartition("/")[0]
    return None
