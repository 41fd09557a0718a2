"""Tracepoints: static trace events in the kernel's source."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

from ...errors import KernelError, NotSupported, nearest
from ..fd import Descriptor
from ..load.program import Program
from ..syscall import Command, PerfEventAttr, RawTracepointOpen, bpf, perf_event_open
from ..system_files import unreadable
from .link import Link
from .perf_event import PerfType, link_perf_event
from .tracefiles import closed, tracefs


def attach_tracepoint(program: Program, category: str, event: str, *, cookie: int = 0) -> Link:
    """Attaches to ``category:event``, for every process on every CPU.

    Raises :class:`NotSupported` without tracefs, :class:`KernelError`, ENOENT for an event that is not there.
    """
    what = f"tracepoint '{category}:{event}'"
    return attach_event(program, tracepoint_id(category, event), what, cookie)


def attach_event(program: Program, number: int, what: str, cookie: int = 0) -> Link:
    """Attaches to the tracefs event of that number. Raises :class:`KernelError`."""
    attributes = PerfEventAttr(type=PerfType.TRACEPOINT, config=number, sample_period=1)
    with Descriptor(perf_event_open(attributes, what), what) as held:
        return link_perf_event(program, held, what, cookie)


def attach_raw_tracepoint(program: Program, event: str) -> Link:
    """Attaches to the tracepoint ``event``, whose arguments the program takes as they are (Linux 4.17).

    Raises :class:`KernelError`, ENOENT for an event that is not there.
    """
    what = f"raw tracepoint '{event}'"
    name = ctypes.create_string_buffer(event.encode())
    attributes = RawTracepointOpen(name=ctypes.addressof(name), prog_fd=program.fileno())
    try:
        return Link(bpf(Command.RAW_TRACEPOINT_OPEN, attributes, f"{what}: attaching '{program.name}'"), what)
    except KernelError as refused:
        if refused.errno == errno.ENOENT:
            raise KernelError(f"{what} not found{nearest(event, _all_events())}", errno.ENOENT) from None
        raise


def tracepoint_id(category: str, event: str) -> int:
    """The number by which perf_event_open(2) knows the tracepoint. Raises as :func:`attach_tracepoint` does."""
    return int(_read(category, event, "id"))


def tracepoint_format(category: str, event: str) -> str:
    """The file in which tracefs tells the fields of the tracepoint. Raises as :func:`attach_tracepoint` does."""
    return _read(category, event, "format")


def _read(category: str, event: str, file: str) -> str:
    events = tracefs() / "events"
    try:
        return (events / category / event / file).read_text()
    except PermissionError:
        raise closed(events.parent) from None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        hint = _hint(events, category, event)
        raise KernelError(f"tracepoint '{category}:{event}' not found{hint}", errno.ENOENT) from None
    except OSError as fault:
        raise unreadable(events, fault, f"tracepoint '{category}:{event}' is not found") from None


def _hint(events: Path, category: str, event: str) -> str:
    wrong, place = (event, events / category) if (events / category).is_dir() else (category, events)
    return nearest(wrong, _names(place)) or f"; `ls {place}` shows what there is"


def _all_events() -> list[str]:
    try:
        events = tracefs() / "events"
        return [event for category in _names(events) for event in _names(events / category)]
    except (NotSupported, OSError):
        return []


def _names(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir() if entry.is_dir()]
