"""Rows in the kernel: a program that is run on a packet by BPF_PROG_RUN."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from ..compiler import Body
from ..errors import KernelError, NotSupported
from ..kernel import Program
from . import event_programs as programs
from .event_case import AT_EACH, AT_FIRST, AT_NONE, Case
from .event_programs import ADDRESSES, Loading
from .event_rows import EMPTY, EventRunner
from .kernel_rows import empty_body

LONG_NS = 20_000_000
"""What a long run takes. Before each, the kernel changes its code and waits, for 0.1 to 0.4 ms (``bpf_prog_change_xdp``)."""
_MOST, _FIRST = 1_000_000, 1000
MANY = 4095
"""The bits of a time that make 4,096 keys."""


_VARIANTS = (
    ("cached", "the verdict is kept", AT_FIRST, 0),
    ("infer", "an inference at each event", AT_EACH, 0),
    ("cached:4096-keys", "the verdict is kept, one key of 4,096", AT_FIRST, MANY),
    ("infer:4096-keys", "an inference at each event, one key of 4,096", AT_EACH, MANY),
    ("new-key", "a new key at each event, no inference", AT_NONE, ADDRESSES),
)


@dataclass(frozen=True)
class Way:
    """A row: what is loaded for it, and what it is. ``keys`` says that each event has a new key.

    ``returns`` is what the program must return, None if that is not looked at.
    """

    name: str
    told: str
    loading: Loading
    keys: bool = False
    returns: int | None = None


class ProgramRunner(EventRunner):
    """``way``, loaded. Its object is closed by ``held``. Raises as :meth:`Object.load` does."""

    def __init__(self, way: Way, frame: bytes, entries: int, held: ExitStack) -> None:
        self.name, self.told, self._frame = way.name, way.told, frame
        self.program = load_program(way.loading, held)
        self._events = 0
        returned = self.program.run(data=frame).return_value
        if way.returns not in (None, returned):
            raise KernelError(f"row '{way.name}': its program returned {returned}, not {way.returns}; report this")
        if way.keys:  # until the map is full: to make room takes time too
            self.program.run(data=frame, repeat=entries + entries // 4)

    def warm(self) -> float:
        """By this thread's time, which others on the machine do not lengthen."""
        if not self._events:
            first = self.program.run(data=self._frame, repeat=_FIRST).duration
            self._events = min(max(LONG_NS // max(first, 1), _FIRST), _MOST)
        begun = time.thread_time_ns()
        self.program.run(data=self._frame, repeat=self._events)
        return (time.thread_time_ns() - begun) / self._events

    def cold(self) -> float:
        return float(self.program.run(data=self._frame, repeat=1).duration)


def load_program(loading: Loading, held: ExitStack) -> Program:
    """The program of ``loading``, which ``held`` unloads. Raises as :meth:`Object.load` does."""
    return held.enter_context(loading.load()).programs[loading.program]


def ways(case: Case, body: Body, *, by_hand: bool) -> Iterator[Way]:
    """The rows of ``case``; with those in C if ``by_hand``."""
    yield Way(EMPTY, "a program that passes the packet", programs.empty(case))
    yield Way("clock", "an empty program that reads the clock once", programs.empty(case, clocks=1))
    yield Way("fields", "the event shell: all fields, no observer", programs.fields_alone(case))
    for name, told, at, mask in _VARIANTS[: None if case.varied is not None else 2]:
        keys = mask == ADDRESSES
        yield Way(name, f"shell and observer: {told}", programs.observing(case, at, body, mask=mask), keys)
        if by_hand:
            yield Way(f"c-{name}", f"shell and clang's C: {told}", programs.behind_shell(case, at, body, mask=mask), keys)
            yield Way(f"c-alone-{name}", f"clang's C alone: {told}", programs.alone(at, body, mask=mask), keys)
    nothing = programs.observing(case, AT_EACH, empty_body())
    yield Way("infer:no-body", "shell and observer: a sample at each event, no network", nothing)


def check_frame(case: Case, body: Body, frames: Iterator[bytes]) -> bytes:
    """The first of ``frames`` that the conditions of the spec accept.

    Raises :class:`NotSupported` if there is none, and as :meth:`Object.load` does.
    """
    from .. import abi

    loading = programs.observing(case, AT_FIRST, body)
    with loading.load() as loaded:
        for frame in frames:
            loaded.programs[loading.program].run(data=frame)
            counts = loaded.maps[abi.COUNTS].lookup_percpu(bytes(4), abi.COUNT)
            if counts is not None and counts["observed"].any():
                return frame
    fact = f"spec '{case.spec.name}': its conditions accept none of the packets that are measured"
    raise NotSupported(f"{fact}; leave out conditions on addresses, ports, lengths and interfaces")
