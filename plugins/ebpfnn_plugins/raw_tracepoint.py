"""The ``raw_tracepoint`` trigger: a tracepoint without the overhead of perf events, and without tracefs."""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from ebpfnn.errors import KernelError, UsageError
from ebpfnn.events import Field, raw_tracepoint_fields
from ebpfnn.kernel import Link, Program, attach_raw_tracepoint, kernel_types
from ebpfnn.obj import ObjectSpec, ProgramType
from ebpfnn.plugin import Trigger, hookimpl, nearest

from .task import TaskTrigger, getcpu_number

_FILTERED = "sys_enter"
_HIGHEST = 1 << 31
_TYPED = "btf_trace_"  # the kernel's name for the type of a tracepoint (Linux 5.5)


def _is_number(text: str) -> bool:
    """Whether it is the number of a system call."""
    return text.isascii() and text.isdigit() and len(text) < 11 and int(text) < _HIGHEST


class RawTracepointTrigger(TaskTrigger):
    """Any event by its own name. ``sys_enter`` fires at every system call; ``nr`` selects the one that runs the network."""

    name = "raw_tracepoint"
    summary = "raw tracepoint, EVENT; cheaper than a tracepoint, needs no tracefs"
    default_target = _FILTERED
    options = MappingProxyType({"nr": "for sys_enter: the number of the system call, or all [default: that of getcpu]"})
    shell = "raw_tracepoint"
    entry = "ebpfnn_raw_tracepoint"
    observing_entry = "ebpfnn_raw_events"
    type = ProgramType.RAW_TRACEPOINT

    def __init__(self, number: str | None = None) -> None:
        if number is not None and number != "all" and not _is_number(number):
            raise UsageError(f"option nr={number}: not a system call number; give one such as {getcpu_number()}, or all")
        self._number = number

    def with_options(self, options: Mapping[str, str]) -> Trigger:
        return self if self.observes or "nr" not in options else RawTracepointTrigger(options["nr"])

    def seeing(self, shell: str, entry: str) -> TaskTrigger:
        """It has every system call, and no options: conditions of the spec select calls by the field ``id``."""
        found = super().seeing(shell, entry)
        found.options = MappingProxyType({})
        return found

    def prepare(self, shell: ObjectSpec, target: str | None) -> None:
        event = self.event(target)
        if self.observes:
            return
        if event != _FILTERED:
            if self._number is not None:
                raise UsageError(f"option nr={self._number}: event '{event}' has no such number; give target {_FILTERED}")
            return
        if self._number != "all":
            shell.set_variable("only_call", struct.pack("<q", int(self._number or getcpu_number())))

    def event(self, target: str | None) -> str:
        event = target or self.default_target
        if not re.fullmatch(r"\w+", event):
            raise UsageError(f"target '{event}' is not the name of an event; give one such as {self.default_target}")
        return event

    def own_fields(self, target: str | None) -> Sequence[Field]:
        event = self.event(target)
        for types in kernel_types():
            if (found := raw_tracepoint_fields(types, event)) is not None:
                return found
        raise KernelError(f"raw tracepoint '{event}' not found{nearest(event, _events())}", errno.ENOENT)

    def link(self, program: Program, target: str | None) -> Link:
        return attach_raw_tracepoint(program, self.event(target))


def _events() -> set[str]:
    return {name.removeprefix(_TYPED) for types in kernel_types() for name in types.names_with_prefix(_TYPED)}


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [RawTracepointTrigger()]
