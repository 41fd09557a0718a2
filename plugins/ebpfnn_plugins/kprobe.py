"""The ``kprobe`` and ``kretprobe`` triggers: entry and return of almost any kernel function."""

from __future__ import annotations

import errno
import platform
import re
from collections.abc import Callable, Iterable, Sequence

from ebpfnn.errors import KernelError, UsageError
from ebpfnn.events import Field, probe_fields
from ebpfnn.kernel import Link, Program, attach_kprobe, attach_kretprobe, kernel_types, lacks_probes
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Trigger, hookimpl, nearest

from .task import TaskTrigger, known_functions, system_call


class KprobeTrigger(TaskTrigger):
    """A function of the kernel or of a module, by name."""

    default_target = system_call("getcpu")
    shell = "kprobe"
    entry = "ebpfnn_kprobe"
    observing_entry = "ebpfnn_probe_events"
    type = ProgramType.KPROBE

    def __init__(self, name: str, summary: str, attach: Callable[[Program, str], Link]) -> None:
        self.name, self.summary, self._attach = name, summary, attach

    def event(self, target: str | None) -> str:
        function = target or self.default_target
        if not re.fullmatch(r"[\w.$]+", function):
            raise UsageError(f"target '{function}' is not the name of a function; give one such as {self.default_target}")
        return function

    def link(self, program: Program, target: str | None) -> Link:
        return self._attach(program, self.event(target))

    def own_fields(self, target: str | None) -> Sequence[Field]:
        function, leaving = self.event(target), self.name == "kretprobe"
        for types in kernel_types():
            if (found := probe_fields(types, function, platform.machine(), leaving=leaving)) is not None:
                return found
        hint = nearest(function, known_functions()) or f"; try its default target, {self.default_target}"
        raise KernelError(f"{self.name} '{function}': no function of that name in the kernel's types{hint}", errno.ENOENT)

    def lack(self) -> str | None:
        return lacks_probes("kprobe")


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [
        KprobeTrigger("kprobe", "entry of a kernel function, FUNCTION", attach_kprobe),
        KprobeTrigger("kretprobe", "return of a kernel function, FUNCTION", attach_kretprobe),
    ]
