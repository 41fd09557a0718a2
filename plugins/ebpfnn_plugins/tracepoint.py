"""The ``tracepoint`` trigger: an event of the kernel runs the network, for the threads that asked and nobody else."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ebpfnn.errors import Error, PluginError
from ebpfnn.kernel import Link, Object, Program, attach_tracepoint, has_program_type, tracefs
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Attachment, Trigger, hookimpl, object_path

_PROGRAM = "ebpfnn_tracepoint"
_libc = ctypes.CDLL(None, use_errno=True)
_GETCPU = {"x86_64": 309, "aarch64": 168}


def _getcpu() -> None:
    _libc.syscall(_GETCPU[platform.machine()], None, None, None)


# Calls that change nothing, return at once and have a system call of their own name. An event that none of them provokes may
# still come from the others' work, so they are all tried for it.
_CALLS: Mapping[str, Callable[[], object]] = {
    "getcpu": _getcpu,
    "getegid": os.getegid,
    "geteuid": os.geteuid,
    "getgid": os.getgid,
    "getpid": os.getpid,
    "getppid": os.getppid,
    "getuid": os.getuid,
    "sched_yield": os.sched_yield,
}


class TracepointAttachment(Attachment):
    """A program on one tracepoint, and the system call that provokes it."""

    def __init__(self, link: Link | None, event: str) -> None:
        self.link = link
        call = event.removeprefix("sys_enter_").removeprefix("sys_exit_")
        self._calls = [_CALLS[call]] if call in _CALLS else list(_CALLS.values())

    def fire(self, slot: int) -> None:
        """Makes the system call. For an event of another kind, all of them: whoever waits sees whether it happened."""
        for call in self._calls:
            call()


class TracepointTrigger(Trigger):
    """Any ``category:event`` of tracefs. getcpu(2) is the default: it is rare, since most C libraries answer it in the vDSO."""

    name = "tracepoint"
    summary = "a tracepoint, CATEGORY:EVENT"
    default_target = "syscalls:sys_enter_getcpu"

    def object_path(self) -> Path:
        return object_path("tracepoint")

    def program(self) -> str:
        return _PROGRAM

    def variables(self) -> Mapping[str, bytes]:
        """The PID namespace whose thread ids this process knows itself by."""
        namespace = Path("/proc/self/ns/pid").stat()
        return {"pidns_dev": struct.pack("<Q", namespace.st_dev), "pidns_ino": struct.pack("<Q", namespace.st_ino)}

    def attach(self, loaded: Object, target: str | None) -> Attachment:
        category, event = self._split(target)
        return TracepointAttachment(attach_tracepoint(loaded.programs[_PROGRAM], category, event), event)

    def attached(self, program: Program, target: str | None) -> Attachment:
        del program
        return TracepointAttachment(None, self._split(target)[1])

    def _split(self, target: str | None) -> tuple[str, str]:
        category, colon, event = (target or self.default_target).partition(":")
        if not colon or any(part in ("", ".", "..") or "/" in part for part in (category, event)):
            raise PluginError(f"target '{target}' is not CATEGORY:EVENT; give one such as {self.default_target}")
        return category, event

    def supported(self) -> str | None:
        try:
            object_path("tracepoint")
            tracefs()
            usable = has_program_type(ProgramType.TRACEPOINT)
        except Error as lack:
            return str(lack)
        return None if usable else "this kernel takes no tracepoint programs; it needs CONFIG_BPF_EVENTS"


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [TracepointTrigger()]
