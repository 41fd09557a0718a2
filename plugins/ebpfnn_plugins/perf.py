"""The ``perf`` trigger: timers and counters, which interrupt the running thread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from ebpfnn.errors import NotSupported, UsageError
from ebpfnn.events import Field
from ebpfnn.kernel import Link, LinkGroup, Object, PerfType, Program, attach_perf_event, online_cpus
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Attachment, Trigger, hookimpl, nearest

from .task import TaskTrigger

_SECOND = 1_000_000_000  # nanoseconds, the unit of the clocks
_FASTEST, _LONGEST = 100_000, 1 << 40
_PATIENCE = 20.0  # seconds to wait, plus that many intervals of a clock: some of its events happen in other threads
_ROUNDS = 10


class _Event(NamedTuple):
    """``config`` of ``type`` in perf_event_open(2), and the frequency or period that is used if the target gives none."""

    type: PerfType
    config: int
    often: int

    @property
    def is_clock(self) -> bool:
        return self.type is PerfType.SOFTWARE and self.config <= 1


# include/uapi/linux/perf_event.h: enum perf_sw_ids and enum perf_hw_id.
_EVENTS = {
    "cpu-clock": _Event(PerfType.SOFTWARE, 0, 1000),
    "task-clock": _Event(PerfType.SOFTWARE, 1, 1000),
    "page-faults": _Event(PerfType.SOFTWARE, 2, 1),
    "context-switches": _Event(PerfType.SOFTWARE, 3, 1),
    "cpu-migrations": _Event(PerfType.SOFTWARE, 4, 1),
    "cycles": _Event(PerfType.HARDWARE, 0, 1_000_000),
    "instructions": _Event(PerfType.HARDWARE, 1, 1_000_000),
    "cache-references": _Event(PerfType.HARDWARE, 2, 10_000),
    "cache-misses": _Event(PerfType.HARDWARE, 3, 10_000),
    "branches": _Event(PerfType.HARDWARE, 4, 1_000_000),
    "branch-misses": _Event(PerfType.HARDWARE, 5, 10_000),
}


class PerfAttachment(Attachment):
    """A program on one event on every CPU. Only time and work cause the event."""

    def __init__(self, link: Link | None, hertz: float) -> None:
        self.link = link
        self.patience = _PATIENCE + _ROUNDS / hertz

    def fire(self, slot: int) -> None:
        """Does a little work in the calling thread, during which the event may happen."""
        sum(range(500))


class PerfTrigger(TaskTrigger):
    """``EVENT:NUMBER``. A clock fires NUMBER times per second, a counter after every NUMBER events, on each CPU."""

    name = "perf"
    summary = "a timer or counter of every CPU, EVENT:NUMBER (NUMBER: hertz of a clock, else events per run)"
    default_target = "cpu-clock:1000"
    shell = "perf"
    entry = "ebpfnn_perf"
    observing_entry = "ebpfnn_perf_events"
    type = ProgramType.PERF_EVENT

    def event(self, target: str | None) -> str:
        return (target or self.default_target).partition(":")[0]

    def own_fields(self, target: str | None) -> Sequence[Field]:
        self._parse(target)
        return ()

    def attach(self, loaded: Object, target: str | None) -> Attachment:
        return PerfAttachment(self.link(loaded.programs[self.entry], target), self._hertz(target))

    def attached(self, program: Program, target: str | None) -> Attachment:
        del program
        return PerfAttachment(None, self._hertz(target))

    def link(self, program: Program, target: str | None) -> Link:
        event, number = self._parse(target)
        period = _SECOND // number if event.is_clock else number
        what = f"perf event '{target or self.default_target}'"
        try:
            with ExitStack() as held:
                links = [
                    held.enter_context(attach_perf_event(program, event.type, event.config, period=period, cpu=cpu))
                    for cpu in online_cpus()
                ]
                held.pop_all()
        except NotSupported:
            raise NotSupported(f"{what}: this machine does not support it; use {self.default_target}") from None
        return LinkGroup(links, what)

    def _hertz(self, target: str | None) -> float:
        event, number = self._parse(target)
        return number if event.is_clock else math.inf

    def _parse(self, target: str | None) -> tuple[_Event, int]:
        name, colon, text = (target or self.default_target).partition(":")
        if name not in _EVENTS:
            hint = nearest(name, _EVENTS) or f"; there are: {', '.join(_EVENTS)}"
            raise UsageError(f"target '{target}': no timer or counter '{name}'{hint}")
        event = _EVENTS[name]
        most = _FASTEST if event.is_clock else _LONGEST
        if not colon:
            return event, event.often
        if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
            unit = "hertz" if event.is_clock else "events"
            raise UsageError(f"target '{target}' is not EVENT:NUMBER; give 1 to {most} {unit}, as in {name}:{event.often}")
        return event, int(text)


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [PerfTrigger()]
