"""The kernel's dynamic PMUs for probes (kprobe and uprobe, Linux 4.17; perf_event_open(2))."""

from __future__ import annotations

import ctypes
from pathlib import Path

from ..fd import Descriptor
from ..load.program import Program
from ..syscall import PerfEventAttr, perf_event_open
from .link import Link
from .perf_event import link_perf_event

UNITS = Path("/sys/bus/event_source/devices")
_REFERENCE_COUNTER_SHIFT = 32


def unit_type(unit: str) -> int | None:
    """Returns the type number of a PMU for perf_event_open(2), or None if this kernel does not have the PMU."""
    try:
        return int((UNITS / unit / "type").read_text())
    except OSError:
        return None


def attach_probe(
    program: Program,
    unit: int,
    name: bytes,
    offset: int,
    what: str,
    *,
    returns: bool,
    pid: int,
    cookie: int,
    counter: int = 0,
) -> Link:
    """Attaches ``offset`` bytes after the start of ``name``, a kernel function or a file.

    ``counter`` is the file offset of a reference counter (a USDT semaphore). The kernel increments it while the probe is
    attached. Raises :class:`~ebpfnn.errors.KernelError`.
    """
    text = ctypes.create_string_buffer(name)
    attributes = PerfEventAttr(
        type=unit,
        config=int(returns) | counter << _REFERENCE_COUNTER_SHIFT,
        config1=ctypes.addressof(text),
        config2=offset,
    )
    with Descriptor(perf_event_open(attributes, what, pid, 0 if pid == -1 else -1), what) as held:
        return link_perf_event(program, held, what, cookie)
