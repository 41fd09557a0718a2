"""bpf(2), perf_event_open(2) and tgkill(2) through ctypes: all system calls of ebpfnn's own are here.

The attribute structures are the parts of ``union bpf_attr`` (include/uapi/linux/bpf.h, Linux 6.18) that ebpfnn uses. The kernel
accepts a structure of any length if the parts that it does not know are zero.
"""

from __future__ import annotations

import ctypes
import errno
import platform
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial
from typing import Any, ClassVar

from ..errors import KernelError, NotSupported, PermissionDenied
from .remedies import remedy

_NUMBERS = {"x86_64": (321, 298, 234), "aarch64": (280, 241, 131)}
_RETRIES = 5  # of what a signal interrupted: libbpf's number
_libc = ctypes.CDLL(None, use_errno=True)
_quick = ctypes.CDLL(None).syscall  # without errno and result, which take time to keep
_quick.restype = None

u32, u64 = ctypes.c_uint32, ctypes.c_uint64


class Command(IntEnum):
    """BPF_* commands."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_ATTACH = 8
    PROG_DETACH = 9
    PROG_RUN = 10
    PROG_GET_NEXT_ID = 11
    MAP_GET_NEXT_ID = 12
    PROG_GET_FD_BY_ID = 13
    MAP_GET_FD_BY_ID = 14
    OBJ_GET_INFO_BY_FD = 15
    RAW_TRACEPOINT_OPEN = 17
    BTF_LOAD = 18
    BTF_GET_FD_BY_ID = 19
    MAP_LOOKUP_AND_DELETE_ELEM = 21
    MAP_FREEZE = 22
    BTF_GET_NEXT_ID = 23
    MAP_LOOKUP_BATCH = 24
    MAP_LOOKUP_AND_DELETE_BATCH = 25
    MAP_UPDATE_BATCH = 26
    MAP_DELETE_BATCH = 27
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_GET_FD_BY_ID = 30
    LINK_GET_NEXT_ID = 31
    ENABLE_STATS = 32
    ITER_CREATE = 33
    LINK_DETACH = 34
    PROG_BIND_MAP = 35


class MapCreate(ctypes.Structure):
    _fields_ = (
        ("map_type", u32),
        ("key_size", u32),
        ("value_size", u32),
        ("max_entries", u32),
        ("map_flags", u32),
        ("inner_map_fd", u32),
        ("numa_node", u32),
        ("map_name", ctypes.c_char * 16),
        ("map_ifindex", u32),
        ("btf_fd", u32),
        ("btf_key_type_id", u32),
        ("btf_value_type_id", u32),
        ("btf_vmlinux_value_type_id", u32),
        ("map_extra", u64),
        ("value_type_btf_obj_fd", ctypes.c_int32),
    )


class MapElement(ctypes.Structure):
    _fields_ = (("map_fd", u32), ("pad", u32), ("key", u64), ("value", u64), ("flags", u64))


class MapBatch(ctypes.Structure):
    """``count`` is read and written: the number of elements that fit, then the number that were done."""

    _fields_ = (
        ("in_batch", u64),
        ("out_batch", u64),
        ("keys", u64),
        ("values", u64),
        ("count", u32),
        ("map_fd", u32),
        ("elem_flags", u64),
        ("flags", u64),
    )


class MapFd(ctypes.Structure):
    _fields_ = (("map_fd", u32),)


class ProgLoad(ctypes.Structure):
    _fields_ = (
        ("prog_type", u32),
        ("insn_cnt", u32),
        ("insns", u64),
        ("license", u64),
        ("log_level", u32),
        ("log_size", u32),
        ("log_buf", u64),
        ("kern_version", u32),
        ("prog_flags", u32),
        ("prog_name", ctypes.c_char * 16),
        ("prog_ifindex", u32),
        ("expected_attach_type", u32),
        ("prog_btf_fd", u32),
        ("func_info_rec_size", u32),
        ("func_info", u64),
        ("func_info_cnt", u32),
        ("line_info_rec_size", u32),
        ("line_info", u64),
        ("line_info_cnt", u32),
        ("attach_btf_id", u32),
        ("attach_fd", u32),  # of a program, or of a module's types
        ("core_relo_cnt", u32),
        ("fd_array", u64),
    )


class BtfLoad(ctypes.Structure):
    _fields_ = (("btf", u64), ("btf_log_buf", u64), ("btf_size", u32), ("btf_log_size", u32), ("btf_log_level", u32))


class ProgRun(ctypes.Structure):
    _fields_ = (
        ("prog_fd", u32),
        ("retval", u32),
        ("data_size_in", u32),
        ("data_size_out", u32),
        ("data_in", u64),
        ("data_out", u64),
        ("repeat", u32),
        ("duration", u32),
        ("ctx_size_in", u32),
        ("ctx_size_out", u32),
        ("ctx_in", u64),
        ("ctx_out", u64),
        ("flags", u32),
        ("cpu", u32),
    )


class ObjectPath(ctypes.Structure):
    """``file_flags`` of OBJ_GET are left 0: read and write."""

    _fields_ = (("pathname", u64), ("bpf_fd", u32), ("file_flags", u32))


class ObjectInfo(ctypes.Structure):
    _fields_ = (("bpf_fd", u32), ("info_len", u32), ("info", u64))


class ObjectId(ctypes.Structure):
    """Of *_GET_NEXT_ID, which starts behind ``id``, and of *_GET_FD_BY_ID, which ignores ``next_id``."""

    _fields_ = (("id", u32), ("next_id", u32), ("open_flags", u32))


class LinkCreate(ctypes.Structure):
    """The common part; a kind of hook whose link says more has a structure of its own that continues here."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = (
        ("prog_fd", u32),
        ("target_fd", u32),
        ("attach_type", u32),
        ("flags", u32),
    )


class KprobeMultiLinkCreate(LinkCreate):
    _fields_ = (("multi_flags", u32), ("count", u32), ("symbols", u64), ("addresses", u64), ("cookies", u64))


class UprobeMultiLinkCreate(LinkCreate):
    _fields_ = (
        *(("path", u64), ("offsets", u64), ("reference_counters", u64), ("cookies", u64)),
        *(("count", u32), ("multi_flags", u32), ("pid", u32)),
    )


class LinkUpdate(ctypes.Structure):
    _fields_ = (("link_fd", u32), ("new_prog_fd", u32), ("flags", u32), ("old_prog_fd", u32))


class LinkFd(ctypes.Structure):
    """Of LINK_DETACH and ITER_CREATE; the flags of the latter are 0."""

    _fields_ = (("link_fd", u32), ("flags", u32))


class RawTracepointOpen(ctypes.Structure):
    _fields_ = (("name", u64), ("prog_fd", u32), ("pad", u32), ("cookie", u64))


class ProgAttach(ctypes.Structure):
    """Of PROG_ATTACH and PROG_DETACH."""

    _fields_ = (
        ("target_fd", u32),
        ("attach_bpf_fd", u32),
        ("attach_type", u32),
        ("attach_flags", u32),
        ("replace_bpf_fd", u32),
    )


class EnableStats(ctypes.Structure):
    _fields_ = (("type", u32),)


class PerfEventAttr(ctypes.Structure):
    """``struct perf_event_attr`` up to PERF_ATTR_SIZE_VER1 (Linux 2.6.33); ``flags`` are its bit fields."""

    _fields_ = (
        ("type", u32),
        ("size", u32),
        ("config", u64),
        ("sample_period", u64),
        ("sample_type", u64),
        ("read_format", u64),
        ("flags", u64),
        ("wakeup_events", u32),
        ("bp_type", u32),
        ("config1", u64),
        ("config2", u64),
    )


def bpf(command: Command, attributes: ctypes.Structure, what: str) -> int:
    """Makes one system call; results are in ``attributes``. ``what`` names the object in errors.

    Raises :class:`PermissionDenied` for EPERM and EACCES, else :class:`KernelError`.
    """
    number = _numbers()[0]
    for _ in range(_RETRIES):
        result: int = _libc.syscall(number, int(command), ctypes.byref(attributes), ctypes.sizeof(attributes))
        if result >= 0:
            return result
        code = ctypes.get_errno()
        if not _is_interrupted(command, code):
            break
    raise refusal(f"{what}: BPF_{command.name}", code)


def _is_interrupted(command: Command, code: int) -> bool:
    """Whether to try again: a signal interrupted the call and nothing was done. PROG_RUN may have run by then."""
    return code == (errno.EAGAIN if command is Command.PROG_LOAD else errno.EINTR) and command is not Command.PROG_RUN


def system_call(command: Command, attributes: ctypes.Structure) -> Callable[[], None]:
    """A prepared system call, which is made each time that the result is called.

    It does not report errors: :func:`bpf` with the same attributes does. (This is the fastest way to pass arguments: declared
    types, or ctypes objects instead of int, cost 70 to 350 ns per call.)
    """
    return partial(_quick, _numbers()[0], int(command), ctypes.byref(attributes), ctypes.sizeof(attributes))


def perf_event_open(attributes: PerfEventAttr, what: str, pid: int = -1, cpu: int = 0) -> int:
    """Opens a perf event with close-on-exec, and returns its descriptor. Raises as :func:`bpf` does.

    ``pid`` -1 is every process, ``cpu`` -1 every CPU; a tracepoint's event on one CPU runs a BPF program on all of them.
    """
    attributes.size = ctypes.sizeof(attributes)
    no_group, close_on_exec = -1, 8
    for _ in range(_RETRIES):
        result: int = _libc.syscall(_numbers()[1], ctypes.byref(attributes), pid, cpu, no_group, ctypes.c_ulong(close_on_exec))
        if result >= 0:
            return result
        code = ctypes.get_errno()
        if code != errno.EINTR:
            break
    raise refusal(f"{what}: perf_event_open", code)


def tgkill(process: int, thread: int) -> int:
    """Sends signal 0 to ``thread`` of ``process``; returns 0 if the thread exists, else the errno (ESRCH)."""
    return 0 if _libc.syscall(_numbers()[2], process, thread, 0) == 0 else ctypes.get_errno()


def refusal(what: str, code: int) -> KernelError:
    """The typed error for ``code``, with a remedy if one is known. ``what`` is ``object: operation``."""
    known = remedy(what.rpartition(": ")[2], code)
    message = f"{what} refused with {KernelError.describe(code)}{known and '; '}{known}"
    return (PermissionDenied if code in (errno.EPERM, errno.EACCES) else KernelError)(message, code)


def _numbers() -> tuple[int, int, int]:
    machine = platform.machine()
    if machine not in _NUMBERS:
        raise NotSupported(f"machine '{machine}': bpf(2) is supported only on {' and '.join(_NUMBERS)}")
    return _NUMBERS[machine]
