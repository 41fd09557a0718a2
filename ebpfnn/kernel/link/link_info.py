"""Information about a link (``struct bpf_link_info``, include/uapi/linux/bpf.h, Linux 6.18)."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

from ...obj.uapi import AttachType
from ..fd import Descriptor
from ..syscall import Command, ObjectInfo, bpf

_SIZE, _DETAILS = 128, 16  # the whole, and where the part begins that depends on the type
_TEXT = 4096
_CGROUP_ITERATORS = ("cgroup",)
_TASK_ITERATORS = ("task", "task_file", "task_vma")


class LinkType(IntEnum):
    """BPF_LINK_TYPE_*."""

    RAW_TRACEPOINT = 1
    TRACING = 2
    CGROUP = 3
    ITER = 4
    NETNS = 5
    XDP = 6
    PERF_EVENT = 7
    KPROBE_MULTI = 8
    STRUCT_OPS = 9
    NETFILTER = 10
    TCX = 11
    UPROBE_MULTI = 12
    NETKIT = 13
    SOCKMAP = 14


# By what each of these says where it hangs: 0 once that has gone, or it was detached by force.
_PLACES = MappingProxyType(
    {
        LinkType.CGROUP: "cgroup_id",
        LinkType.NETNS: "netns_ino",
        LinkType.XDP: "ifindex",
        LinkType.STRUCT_OPS: "map_id",
        LinkType.TCX: "ifindex",
        LinkType.NETKIT: "ifindex",
        LinkType.SOCKMAP: "map_id",
    }
)


class PerfEventType(IntEnum):
    """BPF_PERF_EVENT_*: the kind of event of a perf event link (Linux 6.6)."""

    UPROBE = 1
    URETPROBE = 2
    KPROBE = 3
    KRETPROBE = 4
    TRACEPOINT = 5
    EVENT = 6


@dataclass(frozen=True)
class LinkInfo:
    """Information about a link. ``target`` is what it is attached to, in the kernel's names: ``{"ifindex": 2}``.

    ``type`` is a plain number for an unknown kind, and ``attach_type`` is None if the link has none.
    """

    type: LinkType | int
    id: int
    program_id: int
    attach_type: AttachType | int | None = None
    target: dict[str, int | str] = field(default_factory=dict)

    @property
    def is_attached(self) -> bool:
        """Whether the link is still attached: an interface, cgroup, namespace or map can be removed, and a link detached.

        Other kinds hold a reference to their target: the module of a tracepoint or function, the file of a uprobe.
        """
        return self.type not in _PLACES or self.target[_PLACES[LinkType(self.type)]] != 0


def read_link_info(held: Descriptor) -> LinkInfo:
    """Asks the kernel (Linux 5.8). Raises :class:`~ebpfnn.errors.KernelError`."""
    raw = _ask(held, 0, 0)
    number, id_, program_id = struct.unpack_from("=III", raw)
    read = _READERS.get(number)
    target = read(held, raw) if read else {}
    attach_type = target.pop("attach_type", None)
    return LinkInfo(
        _named(LinkType, number),
        id_,
        program_id,
        _named(AttachType, attach_type) if isinstance(attach_type, int) else None,
        target,
    )


def _named(kind: type[IntEnum], number: int) -> int:
    return kind(number) if number in kind._value2member_map_ else number


def _ask(held: Descriptor, text_at: int, length_at: int, text: ctypes.Array[ctypes.c_char] | None = None) -> bytes:
    """The raw structure; ``text`` is room for a name, whose address and length are to lie at those offsets of the details."""
    raw = ctypes.create_string_buffer(_SIZE)
    if text is not None:
        struct.pack_into("=Q", raw, _DETAILS + text_at, ctypes.addressof(text))
        struct.pack_into("=I", raw, _DETAILS + length_at, len(text))
    bpf(Command.OBJ_GET_INFO_BY_FD, ObjectInfo(held.fileno(), _SIZE, ctypes.addressof(raw)), f"info of '{held.name}'")
    return raw.raw


def _ask_text(held: Descriptor, text_at: int, length_at: int) -> str:
    text = ctypes.create_string_buffer(_TEXT)
    _ask(held, text_at, length_at, text)
    return text.value.decode("utf-8", "replace")


_Target = dict[str, "int | str"]
_Reader = Callable[[Descriptor, bytes], _Target]


def _fields(format_: str, *names: str) -> _Reader:
    """Reads plain numbers, one behind the other."""

    def read(_held: Descriptor, raw: bytes) -> _Target:
        return dict(zip(names, struct.unpack_from(format_, raw, _DETAILS), strict=True))

    return read


def _raw_tracepoint(held: Descriptor, _raw: bytes) -> _Target:
    return {"tp_name": _ask_text(held, 0, 8)}


def _iterator(held: Descriptor, raw: bytes) -> _Target:
    name = _ask_text(held, 0, 8)
    if name in _CGROUP_ITERATORS:
        cgroup, order = struct.unpack_from("=QI", raw, _DETAILS + 16)
        return {"target_name": name, "cgroup_id": cgroup, "order": order}
    if name in _TASK_ITERATORS:
        tid, pid = struct.unpack_from("=II", raw, _DETAILS + 16)
        return {"target_name": name, "tid": tid, "pid": pid}
    map_id = struct.unpack_from("=I", raw, _DETAILS + 12)[0]
    return {"target_name": name, "map_id": map_id} if map_id else {"target_name": name}


def _perf_event(held: Descriptor, raw: bytes) -> _Target:
    kind = struct.unpack_from("=I", raw, _DETAILS)[0]
    if kind in (PerfEventType.UPROBE, PerfEventType.URETPROBE):
        offset = struct.unpack_from("=I", raw, _DETAILS + 20)[0]
        return {"event": PerfEventType(kind).name.lower(), "file_name": _ask_text(held, 8, 16), "offset": offset}
    if kind in (PerfEventType.KPROBE, PerfEventType.KRETPROBE):
        offset, address, missed = struct.unpack_from("=IQQ", raw, _DETAILS + 20)
        name = _ask_text(held, 8, 16)
        return {
            "event": PerfEventType(kind).name.lower(),
            "func_name": name,
            "offset": offset,
            "addr": address,
            "missed": missed,
        }
    if kind == PerfEventType.TRACEPOINT:
        return {"event": "tracepoint", "tp_name": _ask_text(held, 8, 16)}
    config, number = struct.unpack_from("=QI", raw, _DETAILS + 8)
    return {"event": "perf_event", "type": number, "config": config} if kind == PerfEventType.EVENT else {}


def _uprobe_multi(held: Descriptor, raw: bytes) -> _Target:
    count, flags, pid = struct.unpack_from("=III", raw, _DETAILS + 36)
    return {"path": _ask_text(held, 0, 32), "count": count, "flags": flags, "pid": pid}


def _kprobe_multi(_held: Descriptor, raw: bytes) -> _Target:
    count, flags, missed = struct.unpack_from("=IIQ", raw, _DETAILS + 8)
    return {"count": count, "flags": flags, "missed": missed}


_READERS: dict[int, _Reader] = {
    LinkType.RAW_TRACEPOINT: _raw_tracepoint,
    LinkType.TRACING: _fields("=III", "attach_type", "target_obj_id", "target_btf_id"),
    LinkType.CGROUP: _fields("=QI", "cgroup_id", "attach_type"),
    LinkType.ITER: _iterator,
    LinkType.NETNS: _fields("=II", "netns_ino", "attach_type"),
    LinkType.XDP: _fields("=I", "ifindex"),
    LinkType.PERF_EVENT: _perf_event,
    LinkType.KPROBE_MULTI: _kprobe_multi,
    LinkType.STRUCT_OPS: _fields("=I", "map_id"),
    LinkType.NETFILTER: _fields("=IIiI", "pf", "hooknum", "priority", "flags"),
    LinkType.TCX: _fields("=II", "ifindex", "attach_type"),
    LinkType.UPROBE_MULTI: _uprobe_multi,
    LinkType.NETKIT: _fields("=II", "ifindex", "attach_type"),
    LinkType.SOCKMAP: _fields("=II", "map_id", "attach_type"),
}
