"""A BPF library in pure Python: loads an :class:`~ebpfnn.obj.ObjectSpec` as maps, programs and links into the running kernel.

It is independent of neural networks. It calls bpf(2) and perf_event_open(2), and reads /proc, /sys and tracefs. Only
:func:`attach_clsact` uses netlink, for which it needs pyroute2. docs/loader.md is the guide.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cgroups import find_cgroup, open_cgroup
    from .cpus import online_cpus, possible_cpus
    from .features import has_program_type, is_closed_to_all
    from .inspect.stats import run_statistics
    from .link import Link, LinkGroup
    from .link.cgroup import attach_cgroup
    from .link.clsact import attach_clsact
    from .link.interface import XdpMode, attach_netkit, attach_tcx, attach_xdp, interface_index
    from .link.iterator import IteratorLink, attach_iterator
    from .link.kprobe import attach_kprobe, attach_kprobe_multi, attach_kretprobe
    from .link.link_info import LinkInfo, LinkType
    from .link.lsm import lacks_lsm
    from .link.netfilter import Hook, attach_netfilter
    from .link.netns import attach_flow_dissector, attach_sk_lookup
    from .link.perf_event import PerfType, attach_perf_event
    from .link.probe_event import lacks_probes
    from .link.sockmap import attach_sockmap
    from .link.struct_ops_link import attach_struct_ops
    from .link.tracefiles import tracefs
    from .link.tracepoint import attach_raw_tracepoint, attach_tracepoint, tracepoint_format
    from .link.tracing import attach_freplace, attach_tracing
    from .link.uprobe import attach_uprobe, attach_uprobe_multi, attach_uretprobe
    from .load.btf import kernel_types, module_btf, vmlinux
    from .load.object import Object
    from .load.program import Program, RunResult
    from .map import Map
    from .map.elements import ANY, EXIST, NOEXIST
    from .map.lpm import lpm_key
    from .prepared import PreparedRun
    from .privilege import lack
    from .ring.perfbuf import PerfBuffer
    from .ring.ringbuf import RingBuffer
    from .ring.user_ringbuf import UserRingBuffer

# What each file gives, imported when it is first asked for: who loads one program does not wait for every kind of link.
_FILES = {
    "load.btf": (
        "kernel_types",
        "module_btf",
        "vmlinux",
    ),
    "cgroups": ("find_cgroup", "open_cgroup"),
    "link.cgroup": ("attach_cgroup",),
    "link.clsact": ("attach_clsact",),
    "cpus": (
        "online_cpus",
        "possible_cpus",
    ),
    "map.elements": (
        "ANY",
        "EXIST",
        "NOEXIST",
    ),
    "features": ("has_program_type", "is_closed_to_all"),
    "privilege": ("lack",),
    "link.interface": (
        "XdpMode",
        "attach_netkit",
        "attach_tcx",
        "attach_xdp",
        "interface_index",
    ),
    "link.iterator": (
        "IteratorLink",
        "attach_iterator",
    ),
    "link.kprobe": (
        "attach_kprobe",
        "attach_kprobe_multi",
        "attach_kretprobe",
    ),
    "link.link": (
        "Link",
        "LinkGroup",
    ),
    "link.link_info": (
        "LinkInfo",
        "LinkType",
    ),
    "map.lpm": ("lpm_key",),
    "link.lsm": ("lacks_lsm",),
    "map.map": ("Map",),
    "link.netfilter": (
        "Hook",
        "attach_netfilter",
    ),
    "link.netns": (
        "attach_flow_dissector",
        "attach_sk_lookup",
    ),
    "load.object": ("Object",),
    "link.perf_event": (
        "PerfType",
        "attach_perf_event",
    ),
    "ring.perfbuf": ("PerfBuffer",),
    "prepared": ("PreparedRun",),
    "link.probe_event": ("lacks_probes",),
    "load.program": (
        "Program",
        "RunResult",
    ),
    "ring.ringbuf": ("RingBuffer",),
    "link.sockmap": ("attach_sockmap",),
    "inspect.stats": ("run_statistics",),
    "link.struct_ops_link": ("attach_struct_ops",),
    "link.tracefiles": ("tracefs",),
    "link.tracepoint": (
        "attach_raw_tracepoint",
        "attach_tracepoint",
        "tracepoint_format",
    ),
    "link.tracing": (
        "attach_freplace",
        "attach_tracing",
    ),
    "link.uprobe": (
        "attach_uprobe",
        "attach_uprobe_multi",
        "attach_uretprobe",
    ),
    "ring.user_ringbuf": ("UserRingBuffer",),
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
    "find_cgroup",
    "has_program_type",
    "interface_index",
    "is_closed_to_all",
    "kernel_types",
    "lack",
    "lacks_lsm",
    "lacks_probes",
    "lpm_key",
    "module_btf",
    "online_cpus",
    "open_cgroup",
    "possible_cpus",
    "run_statistics",
    "tracefs",
    "tracepoint_format",
    "vmlinux",
]
