"""The ``fentry`` and ``fexit`` triggers: entry and exit of a kernel function, by a trampoline, without a trap."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ebpfnn.errors import KernelError, UsageError, VerifierError
from ebpfnn.events import Field, function_fields
from ebpfnn.kernel import Link, Object, Program, attach_tracing, is_closed_to_all, kernel_types, vmlinux
from ebpfnn.obj import Kind, ObjectSpec, ProgramType
from ebpfnn.plugin import Trigger, hookimpl, nearest

from .task import TaskTrigger, do_nothing, known_functions, system_call


class FentryTrigger(TaskTrigger):
    """A function in the BTF of the kernel or of its modules, by name. The kernel must know it when the program is loaded."""

    default_target = system_call("getcpu")
    shell = "fentry"
    type = ProgramType.TRACING

    def __init__(self, name: str, summary: str) -> None:
        self.name, self.summary = name, summary
        self.entry, self.observing_entry = f"ebpfnn_{name}", f"ebpfnn_{name}_events"

    def event(self, target: str | None) -> str:
        function = target or self.default_target
        if not re.fullmatch(r"[\w.$]+", function):
            raise UsageError(f"target '{function}' is not the name of a function; give one such as {self.default_target}")
        return function

    def prepare(self, shell: ObjectSpec, target: str | None) -> None:
        function = self.event(target)
        if not any(types.find(function, Kind.FUNC) for types in kernel_types()):
            raise self._no_function(function)
        shell.programs[self.entry] = replace(shell.programs[self.entry], attach_to=function)
        self._try(shell)

    def own_fields(self, target: str | None) -> Sequence[Field]:
        function = self.event(target)
        for types in kernel_types():
            if (found := function_fields(types, function, leaving=self.name == "fexit")) is not None:
                return found
        raise self._no_function(function)

    def link(self, program: Program, target: str | None) -> Link:
        del target
        return attach_tracing(program)

    def lack(self) -> str | None:
        vmlinux()
        return None

    def refused(self) -> str:
        remedy = f"use trigger tracepoint or raw_tracepoint, which need no {self.name} programs"
        if is_closed_to_all(self.type):
            fact = f"this kernel refuses {self.name} programs (BPF_PROG_TYPE_TRACING) with EPERM, whatever the capabilities"
            return f"{fact}; {remedy}"
        options = "CONFIG_DEBUG_INFO_BTF, CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS and CONFIG_BPF_JIT, and Linux 5.5"
        return f"this kernel has no {self.name} programs (BPF_PROG_TYPE_TRACING), which need {options}; {remedy}"

    def _no_function(self, function: str) -> KernelError:
        hint = nearest(function, known_functions()) or f"; try its default target, {self.default_target}"
        return KernelError(f"{self.name} '{function}': the kernel's types have no function with this name{hint}", errno.ENOENT)

    def _try(self, shell: ObjectSpec) -> None:
        """Loads a program that does nothing for the same function. A refusal then concerns the function, not the network."""
        program = shell.programs[self.entry]
        try:
            Object.load(do_nothing(program)).close()
        except VerifierError as refused:
            what = f"{self.name} '{program.attach_to}'"
            raise KernelError(
                f"{what}: the kernel does not allow tracing it; give another function", refused.errno
            ) from refused


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [
        FentryTrigger("fentry", "entry of a kernel function, FUNCTION; cheaper than a kprobe"),
        FentryTrigger("fexit", "exit of a kernel function, FUNCTION; cheaper than a kretprobe"),
    ]
