"""A BPF library in pure Python: from an :class:`~ebpfnn.obj.ObjectSpec` to maps, programs and links in the running kernel.

It knows nothing of neural networks. It enters the kernel by bpf(2) and perf_event_open(2), and reads /proc, /sys and tracefs
where those know more; only :func:`attach_clsact` speaks netlink, and needs pyroute2 for it. docs/loader.md is the guide.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .btf import kernel_types, module_btf, vmlinux
    from .cgroup import attach_cgroup
    from .clsact import attach_clsact
    from .features import has_program_type
    from .interface import XdpMode, attach_netkit, attach_tcx, attach_xdp, interface_index
    from .iterator import IteratorLink, attach_iterator
    from .kprobe import attach_kprobe, attach_kprobe_multi, attach_kretprobe
    from .link import Link, LinkGroup
    from .link_info import LinkInfo, LinkType
    from .lpm import lpm_key
    from .map import ANY, EXIST, NOEXIST, Map
    from .netfilter import Hook, attach_netfilter
    from .netns import attach_flow_dissector, attach_sk_lookup
    from .object import Object
    from .percpu import online_cpus, possible_cpus
    from .perf_event import PerfType, attach_perf_event
    from .perfbuf import PerfBuffer
    from .prepared import PreparedRun
    from .probe_event import lacks_probes
    from .program import Program, RunResult
    from .ringbuf import RingBuffer
    from .sockmap import attach_sockmap
    from .stats import run_statistics
    from .struct_ops_link import attach_struct_ops
    from .tracefiles import tracefs
    from .tracepoint import attach_raw_tracepoint, attach_tracepoint
    from .tracing import attach_freplace, attach_tracing
    from .uprobe import attach_uprobe, attach_uprobe_multi, attach_uretprobe
    from .user_ringbuf import UserRingBuffer

# What each file gives, imported when it is first asked for: who loads one program does not wait for every kind of link.
_FILES = {
    "btf": (
        "kernel_types",
        "module_btf",
        "vmlinux",
    ),
    "cgroup": ("attach_cgroup",),
    "clsact": ("attach_clsact",),
    "features": ("has_program_type",),
    "interface": (
        "XdpMode",
        "attach_netkit",
        "attach_tcx",
        "attach_xdp",
        "interface_index",
    ),
    "iterator": (
        "IteratorLink",
        "attach_iterator",
    ),
    "kprobe": (
        "attach_kprobe",
        "attach_kprobe_multi",
        "attach_kretprobe",
    ),
    "link": (
        "Link",
        "LinkGroup",
    ),
    "link_info": (
        "LinkInfo",
        "LinkType",
    ),
    "lpm": ("lpm_key",),
    "map": (
        "ANY",
        "EXIST",
        "NOEXIST",
        "Map",
    ),
    "netfilter": (
        "Hook",
        "attach_netfilter",
    ),
    "netns": (
        "attach_flow_dissector",
        "attach_sk_lookup",
    ),
    "object": ("Object",),
    "percpu": (
        "online_cpus",
        "possible_cpus",
    ),
    "perf_event": (
        "PerfType",
        "attach_perf_event",
    ),
    "perfbuf": ("PerfBuffer",),
    "prepared": ("PreparedRun",),
    "probe_event": ("lacks_probes",),
    "program": (
        "Program",
        "RunResult",
    ),
    "ringbuf": ("RingBuffer",),
    "sockmap": ("attach_sockmap",),
    "stats": ("run_statistics",),
    "struct_ops_link": ("attach_struct_ops",),
    "tracefiles": ("tracefs",),
    "tracepoint": (
        "attach_raw_tracepoint",
        "attach_tracepoint",
    ),
    "tracing": (
        "attach_freplace",
        "attach_tracing",
    ),
    "uprobe": (
        "attach_uprobe",
        "attach_uprobe_multi",
        "attach_uretprobe",
    ),
    "user_ringbuf": ("UserRingBuffer",),
}
_HOMES = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


__all__ = [
    "ANY",
    "EXIST",
    "NOEXIST",
    "Hook",
    "IteratorLink",
    "Link",
    "LinkGroup",
    "LinkInfo",
    "LinkType",
    "Map",
    "Object",
    "PerfBuffer",
    "PerfType",
    "PreparedRun",
    "Program",
    "RingBuffer",
    "RunResult",
    "UserRingBuffer",
    "XdpMode",
    "attach_cgroup",
    "attach_clsact",
    "attach_flow_dissector",
    "attach_freplace",
    "attach_iterator",
    "attach_kprobe",
    "attach_kprobe_multi",
    "attach_kretprobe",
    "attach_netfilter",
    "attach_netkit",
    "attach_perf_event",
    "attach_raw_tracepoint",
    "attach_sk_lookup",
    "attach_sockmap",
    "attach_struct_ops",
    "attach_tcx",
    "attach_tracepoint",
    "attach_tracing",
    "attach_uprobe",
    "attach_uprobe_multi",
    "attach_uretprobe",
    "attach_xdp",
    "has_program_type",
    "interface_index",
    "kernel_types",
    "lacks_probes",
    "lpm_key",
    "module_btf",
    "online_cpus",
    "possible_cpus",
    "run_statistics",
    "tracefs",
    "vmlinux",
]
