"""Remedies for refusals, by operation and errno."""

from __future__ import annotations

import errno
from pathlib import Path

from . import privilege

_LOADS = ("BPF_MAP_CREATE", "BPF_PROG_LOAD", "BPF_BTF_LOAD")
_ELEMENTS = (
    *("BPF_MAP_LOOKUP_ELEM", "BPF_MAP_UPDATE_ELEM", "BPF_MAP_DELETE_ELEM", "BPF_MAP_GET_NEXT_KEY", "mmap"),
    *("BPF_MAP_LOOKUP_AND_DELETE_ELEM", "BPF_MAP_LOOKUP_BATCH", "BPF_MAP_LOOKUP_AND_DELETE_BATCH"),
    *("BPF_MAP_UPDATE_BATCH", "BPF_MAP_DELETE_BATCH"),
)
_FULL = "the map is full (max_entries); delete elements, or make it larger"
_NO_KEY = "the key is not in the map; update() adds it"
_HOOK = "check that the program type fits this hook and that the target exists, or this kernel has no such link"
_NOT_MMAPABLE = "only an array created with BPF_F_MMAPABLE can be mapped"
_BY_OPERATION = {
    ("BPF_MAP_CREATE", errno.EINVAL): "check type, key and value sizes and flags, or this kernel does not support them",
    ("BPF_MAP_CREATE", errno.E2BIG): "make max_entries or the value smaller, or this kernel does not support the request",
    ("BPF_MAP_UPDATE_ELEM", errno.E2BIG): _FULL,
    ("BPF_MAP_UPDATE_BATCH", errno.E2BIG): _FULL,
    ("BPF_MAP_UPDATE_ELEM", errno.EEXIST): "the key exists already; update with ANY or EXIST",
    ("BPF_MAP_UPDATE_ELEM", errno.ENOENT): "the key is not in the map; update with ANY or NOEXIST",
    ("BPF_MAP_LOOKUP_ELEM", errno.ENOENT): _NO_KEY,
    ("BPF_MAP_DELETE_ELEM", errno.ENOENT): _NO_KEY,
    ("BPF_MAP_DELETE_BATCH", errno.ENOENT): _NO_KEY,
    ("BPF_MAP_DELETE_ELEM", errno.EINVAL): "elements of this type of map cannot be deleted; set them to zero",
    ("BPF_MAP_FREEZE", errno.EBUSY): "a writable mapping exists, or it is frozen already; close the mapping",
    ("BPF_PROG_LOAD", errno.EINVAL): "check its type, attach type and flags, or this kernel does not support them",
    ("BPF_PROG_LOAD", errno.E2BIG): "make the program smaller; the verifier walks a million instructions at most",
    ("BPF_PROG_RUN", errno.EBADF): "the prepared run was stopped, as in the child of a fork; prepare another",
    ("BPF_OBJ_PIN", errno.ENOENT): "the directory is missing; mkdir it",
    ("BPF_LINK_CREATE", errno.EINVAL): _HOOK,
    ("BPF_LINK_CREATE", errno.EEXIST): "this program is attached there already; close that link first",
    (
        "BPF_LINK_CREATE",
        errno.EBUSY,
    ): "another program is attached there; detach it (ebpfnn.kernel.inspect.listing lists links)",
    ("BPF_PROG_ATTACH", errno.EINVAL): _HOOK,
    ("mmap", errno.EINVAL): _NOT_MMAPABLE,
    ("mmap", errno.ENODEV): _NOT_MMAPABLE,
    ("mmap", 524): _NOT_MMAPABLE,
}
_PINS = ("BPF_OBJ_GET", "BPF_OBJ_PIN")  # which files' owners and modes decide, and EPERM alone is for want of a capability
_PLAIN = ("flock", "gettid")  # which no kernel is without, and which need no privilege
_SYSCTLS, _BPF_SYSCTL = Path("/proc/sys/kernel"), "unprivileged_bpf_disabled"
_ANYWHERE = {
    errno.ENOMEM: "the kernel has no memory for it; make it smaller, or free some",
    errno.EMFILE: "this process has too many files open; raise ulimit -n, or close files",
    errno.ENFILE: "the machine has too many files open; raise sysctl fs.file-max",
    errno.EBUSY: "something else uses it; end that, or try again",
    errno.ENOLCK: "no more locks are available; free memory, or enable locks on the file server",
    errno.ENOSPC: "no space is left; make it smaller, or free space",
    errno.EROFS: "it is mounted read-only; mount -o remount,rw its mount point",
    errno.EINTR: "a signal interrupted it; try again",
    errno.EAGAIN: "the kernel was interrupted or lacks a resource; try again",
    524: "this kernel does not support that for an object of this type",
}


def remedy(operation: str, code: int) -> str:
    """The remedy if ``operation`` (``BPF_*``, ``mmap``, ``perf_event_open``) was refused, "" if none is known."""
    if operation in _PLAIN and code in (errno.EPERM, errno.ENOSYS):
        return _filtered(operation)
    if operation in _PINS and code == errno.EACCES:
        return "the BPF file system is closed to this user there; run as root (sudo), or have its owner open it (chmod)"
    if code in (errno.EPERM, errno.EACCES):
        return _permission(operation)
    if code == errno.ENOSYS:
        return _missing(operation)
    return _BY_OPERATION.get((operation, code)) or _ANYWHERE.get(code, "")


def _missing(operation: str) -> str:
    """For a system call that the kernel may lack; if it has the call, it has the matching sysctl."""
    of_events = operation == "perf_event_open"
    option, sysctl = ("CONFIG_PERF_EVENTS", "perf_event_paranoid") if of_events else ("CONFIG_BPF_SYSCALL", _BPF_SYSCTL)
    if (_SYSCTLS / sysctl).exists():
        return _filtered("perf_event_open" if of_events else "bpf")
    return f"this kernel was built without {option}"


def _filtered(call: str) -> str:
    """Of a system call that every kernel has, or that this one is known to."""
    return f"a seccomp filter or a security module forbids it: allow {call}(2), as a container's seccomp=unconfined does"


def _permission(operation: str) -> str:
    """Access to elements is refused because of the map's flags, or without privileges, which root usually has."""
    if operation.endswith("_ID") or operation == "BPF_ENABLE_STATS":  # what is everybody's (bpf_obj_get_next_id, Linux 6.18)
        return privilege.remedy(charged=False, needed=["CAP_SYS_ADMIN"])
    if operation == "perf_event_open" and privilege.closes_perf_events():
        return "sysctl kernel.perf_event_paranoid=2, or grant CAP_SYS_ADMIN, which this kernel requires above 2"
    if operation not in _ELEMENTS:
        return privilege.remedy(charged=operation in _LOADS)
    lack = privilege.lack()
    return "the map is frozen or read-only to user space; write through a program" + (f", or {lack}" if lack else "")
