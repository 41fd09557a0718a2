"""Section names: what libbpf documents, and what is close to it."""

from __future__ import annotations

import pytest

from ebpfnn.obj.sections import known_sections, read_section, section_kind
from ebpfnn.obj.uapi import SLEEPABLE, XDP_HAS_FRAGS, AttachType, ProgramType


@pytest.mark.parametrize(
    ("name", "kind", "attach_type", "flags", "attach_to"),
    [
        ("socket", ProgramType.SOCKET_FILTER, 0, 0, ""),
        ("kprobe/do_unlinkat", ProgramType.KPROBE, 0, 0, "do_unlinkat"),
        ("kprobe.multi/tcp_*", ProgramType.KPROBE, AttachType.TRACE_KPROBE_MULTI, 0, "tcp_*"),
        ("uprobe.s//bin/sh:main", ProgramType.KPROBE, 0, SLEEPABLE, "/bin/sh:main"),
        ("uretprobe.multi.s", ProgramType.KPROBE, AttachType.TRACE_UPROBE_MULTI, SLEEPABLE, ""),
        ("usdt/libc.so.6:libc:setjmp", ProgramType.KPROBE, 0, 0, "libc.so.6:libc:setjmp"),
        ("tp/syscalls/sys_enter_getcpu", ProgramType.TRACEPOINT, 0, 0, "syscalls/sys_enter_getcpu"),
        ("raw_tp.w/nbd_send_request", ProgramType.RAW_TRACEPOINT_WRITABLE, 0, 0, "nbd_send_request"),
        ("tp_btf/sys_enter", ProgramType.TRACING, AttachType.TRACE_RAW_TP, 0, "sys_enter"),
        ("fentry.s/f", ProgramType.TRACING, AttachType.TRACE_FENTRY, SLEEPABLE, "f"),
        ("fmod_ret/f", ProgramType.TRACING, AttachType.MODIFY_RETURN, 0, "f"),
        ("iter.s/task", ProgramType.TRACING, AttachType.TRACE_ITER, SLEEPABLE, "task"),
        ("lsm.s/bpf", ProgramType.LSM, AttachType.LSM_MAC, SLEEPABLE, "bpf"),
        ("lsm_cgroup/socket_bind", ProgramType.LSM, AttachType.LSM_CGROUP, 0, "socket_bind"),
        ("freplace/f", ProgramType.EXT, 0, 0, "f"),
        ("struct_ops.s/init", ProgramType.STRUCT_OPS, 0, SLEEPABLE, "init"),
        ("tc/egress", ProgramType.SCHED_CLS, AttachType.TCX_EGRESS, 0, ""),
        ("xdp.frags/cpumap", ProgramType.XDP, AttachType.XDP_CPUMAP, XDP_HAS_FRAGS, ""),
        ("cgroup/connect_unix", ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_UNIX_CONNECT, 0, ""),
        ("cgroup/getsockname6", ProgramType.CGROUP_SOCK_ADDR, AttachType.CGROUP_INET6_GETSOCKNAME, 0, ""),
        ("cgroup_skb/egress", ProgramType.CGROUP_SKB, AttachType.CGROUP_INET_EGRESS, 0, ""),
        ("sk_reuseport/migrate", ProgramType.SK_REUSEPORT, AttachType.SK_REUSEPORT_SELECT_OR_MIGRATE, 0, ""),
        ("netfilter", ProgramType.NETFILTER, AttachType.NETFILTER, 0, ""),
        ("syscall", ProgramType.SYSCALL, 0, SLEEPABLE, ""),
        ("kprobe.multi/", ProgramType.KPROBE, AttachType.TRACE_KPROBE_MULTI, 0, ""),
    ],
)
def test_names(name: str, kind: ProgramType, attach_type: int, flags: int, attach_to: str) -> None:
    for given, autoload in ((name, True), (f"?{name}", False)):
        found = read_section(given)
        assert found.kind is not None
        assert found.kind[:3] == (kind, attach_type, flags)
        assert (found.attach_to, found.autoload) == (attach_to, autoload)


@pytest.mark.parametrize("name", ["", "?", "xpd", "xdp/devmpa", "classifier/x", "xdp.s", "cgroup/nothing", ".text"])
def test_names_of_nothing(name: str) -> None:
    assert section_kind(name) is None


@pytest.mark.parametrize(("name", "meant"), [("xpd", "xdp"), ("?xdp/devmpa", "xdp/devmap"), ("kprobes/f", "kprobe")])
def test_what_was_meant(name: str, meant: str) -> None:
    assert meant in known_sections(name)
