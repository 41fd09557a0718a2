"""Probes through tracefs, for kernels whose perf_event_open(2) cannot create them (before Linux 4.17).

A line in kprobe_events or uprobe_events defines an event. A program is attached to this event as to a tracepoint. The whole
machine shares these files. They are opened for appending, because a plain write would remove the probes of all processes.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import count
from pathlib import Path

from ...errors import KernelError, NotSupported
from ..load.program import Program
from ..syscall import refusal
from ..system_files import read
from .link import Link
from .pmu import unit_type
from .tracefiles import tracefs
from .tracepoint import attach_event

_GROUP = "ebpfnn"
_numbers = count()


class ProbeLink(Link):
    """A link to an event of its own. Closing the link removes the event, except in the child of a fork."""

    def __init__(self, link: Link, events: Path, event: str) -> None:
        super().__init__(link.release(), link.name)
        self._events, self._event, self._process = events, event, os.getpid()

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._process != os.getpid():
                return
            with suppress(KernelError):  # EBUSY: a pin keeps the program attached, and so keeps the event
                _append(self._events, f"-:{_GROUP}/{self._event}", self.name)


def lacks_probes(kind: str) -> str | None:
    """Returns None if this kernel has probes of ``kind`` (kprobe or uprobe), else one line with the fact and the remedy.

    Raises :class:`~ebpfnn.errors.NotSupported` if only tracefs can tell, and it is not mounted.
    """
    if unit_type(kind) is not None or (tracefs() / f"{kind}_events").exists():
        return None
    return f"this kernel has no {kind}s (CONFIG_{kind.upper()}_EVENTS); use a tracepoint, or another kernel"


def attach_probe_event(program: Program, kind: str, place: str, *, returns: bool, what: str) -> Link:
    """Defines an event at ``place`` and attaches to it.

    ``kind`` is kprobe or uprobe. ``place`` is ``symbol+offset`` or ``path:0xoffset``. Raises
    :class:`~ebpfnn.errors.NotSupported` if the kernel has no such probes, else KernelError.
    """
    events, lack = tracefs() / f"{kind}_events", lacks_probes(kind)
    if lack:
        raise NotSupported(f"{what}: {lack}")
    event = f"{kind}_{os.getpid()}_{next(_numbers)}"
    _append(events, f"{'r' if returns else 'p'}:{_GROUP}/{event} {place}", what)
    try:
        number = int(read(tracefs() / "events" / _GROUP / event / "id", f"{what} cannot be attached"))
        return ProbeLink(attach_event(program, number, what), events, event)
    except BaseException:
        with suppress(KernelError):
            _append(events, f"-:{_GROUP}/{event}", what)
        raise


def _append(events: Path, line: str, what: str) -> None:
    try:
        fd = os.open(events, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)
    except OSError as fault:
        if fault.errno in (errno.ENOENT, errno.EINVAL):
            raise KernelError(f"{what}: {events} refused '{line}' ({fault.strerror}); check the name", fault.errno) from None
        raise refusal(f"{what}: {events}", fault.errno or 0) from None
