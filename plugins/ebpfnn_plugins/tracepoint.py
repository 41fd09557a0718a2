"""The ``tracepoint`` trigger: a kernel event runs the network, only for threads that requested it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ebpfnn.errors import UsageError
from ebpfnn.events import Field, format_fields
from ebpfnn.kernel import Link, Program, attach_tracepoint, tracefs, tracepoint_format
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Trigger, hookimpl

from .task import TaskTrigger


class TracepointTrigger(TaskTrigger):
    """Any ``category:event`` of tracefs. The default, getcpu(2), is rare, since most C libraries answer it in the vDSO."""

    name = "tracepoint"
    summary = "tracepoint, CATEGORY:EVENT"
    default_target = "syscalls:sys_enter_getcpu"
    shell = "tracepoint"
    entry = "ebpfnn_tracepoint"
    observing_entry = "ebpfnn_tracepoint_events"
    type = ProgramType.TRACEPOINT

    def event(self, target: str | None) -> str:
        return self._split(target)[1]

    def link(self, program: Program, target: str | None) -> Link:
        return attach_tracepoint(program, *self._split(target))

    def own_fields(self, target: str | None) -> Sequence[Field]:
        category, event = self._split(target)
        return format_fields(tracepoint_format(category, event), f"{category}:{event}")

    def lack(self) -> str | None:
        tracefs()
        return None

    def _split(self, target: str | None) -> tuple[str, str]:
        category, colon, event = (target or self.default_target).partition(":")
        if not colon or any(part in ("", ".", "..") or "/" in part for part in (category, event)):
            raise UsageError(f"target '{target}' is not CATEGORY:EVENT; give one such as {self.default_target}")
        return category, event


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [TracepointTrigger()]
