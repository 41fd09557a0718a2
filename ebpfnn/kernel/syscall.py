"""bpf(2) and perf_event_open(2) through ctypes: the one place where ebpfnn enters the kernel.

The attribute structures are the parts of ``union bpf_attr`` (include/uapi/linux/bpf.h, Linux 6.18) that ebpfnn fills in. The
kernel takes a structure of any length as long as what it does not know of is zero.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from enum import IntEnum

from ..errors import KernelError, NotSupported, PermissionDenied

_NUMBERS = {"x86_64": (321, 298), "aarch64": (280, 241)}
_RETRIES = 5  # of a program load that a signal interrupted: libbpf's number
_libc = ctypes.CDLL(None, use_errno=True)

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
    PROG_RUN = 10
    OBJ_GET_INFO_BY_FD = 15
    BTF_LOAD = 18
    MAP_FREEZE = 22
    LINK_CREATE = 28


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
    )


class MapElement(ctypes.Structure):
    _fields_ = (("map_fd", u32), ("pad", u32), ("key", u64), ("value", u64), ("flags", u64))


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
    )


class ObjectPath(ctypes.Structure):
    """``file_flags`` of OBJ_GET are left 0: read and write."""

    _fields_ = (("pathname", u64), ("bpf_fd", u32), ("file_flags", u32))


class ObjectInfo(ctypes.Structure):
    _fields_ = (("bpf_fd", u32), ("info_len", u32), ("info", u64))


class LinkCreate(ctypes.Structure):
    """The common part; a perf event's link continues with the cookie, which is left 0."""

    _fields_ = (("prog_fd", u32), ("target_fd", u32), ("attach_type", u32), ("flags", u32), ("cookie", u64))


class PerfEventAttr(ctypes.Structure):
    """``struct perf_event_attr`` up to PERF_ATTR_SIZE_VER0."""

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
    )


def bpf(command: Command, attributes: ctypes.Structure, what: str) -> int:
    """Makes one system call. What the kernel writes back lies in ``attributes``. ``what`` is the object, for the error.

    Raises :class:`PermissionDenied` for EPERM and EACCES, else :class:`KernelError`.
    """
    number = _numbers()[0]
    for _ in range(_RETRIES):
        result: int = _libc.syscall(number, int(command), ctypes.byref(attributes), ctypes.sizeof(attributes))
        if result >= 0:
            return result
        code = ctypes.get_errno()
        if code != errno.EAGAIN or command is not Command.PROG_LOAD:
            break
    raise refusal(f"{what}: BPF_{command.name}", code)


def perf_event_open(attributes: PerfEventAttr, what: str) -> int:
    """Opens a perf event for every process, closed on exec, and returns its descriptor. Raises as :func:`bpf` does."""
    attributes.size = ctypes.sizeof(attributes)
    any_process, first_cpu, no_group, close_on_exec = -1, 0, -1, 8
    result: int = _libc.syscall(
        _numbers()[1], ctypes.byref(attributes), any_process, first_cpu, no_group, ctypes.c_ulong(close_on_exec)
    )
    if result < 0:
        raise refusal(f"{what}: perf_event_open", ctypes.get_errno())
    return result


def refusal(what: str, code: int) -> KernelError:
    """The typed error for ``code``, with what mends it where that is known."""
    message = f"{what} refused with {KernelError.describe(code)}"
    if code in (errno.EPERM, errno.EACCES):
        return PermissionDenied(f"{message}; {_privilege_remedy()}", code)
    if code == errno.ENOSYS:
        return KernelError(f"{message}; this kernel was built without CONFIG_BPF_SYSCALL", code)
    return KernelError(message, code)


def _privilege_remedy() -> str:
    if os.geteuid() != 0:
        return "run as root (sudo), or grant CAP_BPF and CAP_PERFMON"
    return "root is not enough here: see `ebpfnn doctor` for missing capabilities, lockdown or a seccomp filter"


def _numbers() -> tuple[int, int]:
    machine = platform.machine()
    if machine not in _NUMBERS:
        raise NotSupported(f"machine '{machine}': bpf(2)'s number is known for {' and '.join(_NUMBERS)} alone")
    return _NUMBERS[machine]
