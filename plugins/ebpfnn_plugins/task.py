"""Code that the triggers share whose events happen in a thread: whose events run the network, and calls that cause them."""

from __future__ import annotations

import copy
import ctypes
import os
import platform
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ebpfnn.errors import Error
from ebpfnn.events import Field, beside
from ebpfnn.kernel import Link, Object, Program, has_program_type, vmlinux
from ebpfnn.obj import Function, Kind, ObjectSpec, ProgramSpec, ProgramType
from ebpfnn.plugin import Attachment, Trigger, object_path

_libc = ctypes.CDLL(None, use_errno=True)
_GETCPU = MappingProxyType({"x86_64": 309, "aarch64": 168})
_ENTRIES = MappingProxyType({"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"})


def getcpu_number() -> int:
    """The number of getcpu(2). Raises :class:`KeyError` for a machine type that ebpfnn does not know."""
    return _GETCPU[platform.machine()]


def system_call(name: str) -> str:
    """The kernel function that a system call enters (arch/*/include/asm/syscall_wrapper.h, Linux 4.17)."""
    return _ENTRIES.get(platform.machine(), "sys_") + name


def getcpu() -> None:
    """Makes the system call itself. C libraries answer it in the vDSO, so few other programs cause the event."""
    _libc.syscall(getcpu_number(), None, None, None)


# Calls that change nothing, return at once and have their own event: a system call, or a function of the C library.
CALLS: Mapping[str, Callable[[], object]] = MappingProxyType(
    {
        "a64l": lambda: _libc.a64l(b""),
        "getcpu": getcpu,
        "getegid": os.getegid,
        "geteuid": os.geteuid,
        "getgid": os.getgid,
        "getpgid": lambda: os.getpgid(0),
        "getpid": os.getpid,
        "getppid": os.getppid,
        "getuid": os.getuid,
        "sched_yield": os.sched_yield,
        "task_getpgid": lambda: os.getpgid(os.getpid()),  # of 0, the security hook is not asked
    }
)
_ANY_SYSTEM_CALL = ("sys_enter", "sys_exit")
_EVENTS, _GUARD = "task_events", "task_guard"
_PREFIX = re.compile(r"(__(x64|arm64|se|do)_)?sys_((enter|exit)_)?")


def calls_for(event: str) -> list[Callable[[], object]]:
    """The calls that may cause ``event``: its own call if one is known, else all, since one of them may cause it indirectly."""
    if event in _ANY_SYSTEM_CALL:
        return [getcpu]
    found = _PREFIX.match(event)
    name = event[found.end() :] if found else event
    return [CALLS[name]] if name in CALLS else list(CALLS.values())


class TaskAttachment(Attachment):
    """A program at an event of threads, and the calls that cause the event."""

    def __init__(self, link: Link | None, event: str) -> None:
        self.link = link
        self._calls = calls_for(event)

    def fire(self, slot: int) -> None:
        """Makes the call. If none is known for the event, makes all of them; the caller checks whether the event happened."""
        for call in self._calls:
            call()

    def prepare(self, slot: int) -> Callable[[], object]:
        return self._calls[0] if len(self._calls) == 1 else super().prepare(slot)


class TaskTrigger(Trigger):
    """A trigger whose shell includes task.h. ``shell`` is its object, ``entry`` the program in it, of type ``type``.

    ``observing_entry`` is the program in the event shell.
    """

    shell: str
    entry: str
    observing_entry: str
    type: ProgramType
    default_target: str

    @abstractmethod
    def event(self, target: str | None) -> str:
        """The event's own name in ``target``. Raises :class:`~ebpfnn.errors.PluginError` for a target of the wrong form."""

    @abstractmethod
    def link(self, program: Program, target: str | None) -> Link:
        """Attaches ``program``. Raises as :meth:`attach` does."""

    def lack(self) -> str | None:
        """What this kernel lacks besides the program type, or None. Raises :class:`~ebpfnn.errors.Error`."""
        return None

    def object_path(self) -> Path:
        return object_path(self.shell)

    def program(self) -> str:
        return self.entry

    def events_path(self) -> Path:
        return object_path(self.shell if self.observes else _EVENTS)

    def observer(self) -> Trigger:
        return self.seeing(_EVENTS, self.observing_entry)

    def guard(self) -> Trigger:
        return self.seeing(_GUARD, self.observing_entry.removesuffix("_events") + "_guard")

    def seeing(self, shell: str, entry: str) -> TaskTrigger:
        """This trigger with a shell that sees every event, and the program in it."""
        found = copy.copy(self)
        found.shell, found.entry = shell, entry
        return found

    @property
    def observes(self) -> bool:
        """Whether it is an :meth:`observer` or a :meth:`guard`: its shell knows no registered threads, and sees every event."""
        return self.shell in (_EVENTS, _GUARD)

    def fields(self, target: str | None) -> Sequence[Field]:
        return beside(self.own_fields(target), super().fields(target))

    def own_fields(self, target: str | None) -> Sequence[Field]:
        """The fields of the event itself, besides those of its thread. Raises as :meth:`fields` does."""
        self.event(target)
        return ()

    def attach(self, loaded: Object, target: str | None) -> Attachment:
        event = self.event(target)
        return TaskAttachment(self.link(loaded.programs[self.entry], target), event)

    def attached(self, program: Program, target: str | None) -> Attachment:
        del program
        return TaskAttachment(None, self.event(target))

    def supported(self) -> str | None:
        try:
            self.object_path()
            return self.lack() or (None if has_program_type(self.type) else self.refused())
        except Error as lack:
            return str(lack)

    def refused(self) -> str:
        """Why this kernel refuses programs of the type, and the remedy, on one line."""
        fact = "this kernel was built without CONFIG_BPF_EVENTS, so no BPF program runs at its tracing and perf events"
        return f"{fact}; use trigger run, or boot a kernel with that option"


def known_functions() -> set[str]:
    """The functions in the kernel's BTF. Raises :class:`~ebpfnn.errors.NotSupported` if the kernel shows none."""
    types = vmlinux()
    return {found.name for found in map(types.__getitem__, range(1, len(types))) if found.kind is Kind.FUNC}


def do_nothing(program: ProgramSpec) -> ObjectSpec:
    """An object with one program that returns at once. For the kernel it has the same type and attach point as ``program``."""
    code = bytes([0xB7, *bytes(7), 0x95, *bytes(7)])  # r0 = 0; exit
    return ObjectSpec(
        "nothing", "GPL", functions={program.name: Function(program.name, code)}, programs={program.name: program}
    )
