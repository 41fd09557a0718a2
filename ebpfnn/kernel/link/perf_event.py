"""Perf events: run a program on events that perf_event_open(2) counts or samples."""

from __future__ import annotations

import errno
import fcntl
from enum import IntEnum

from ...errors import KernelError, NotSupported
from ...obj.uapi import AttachType
from ..fd import Descriptor
from ..load.program import Program
from ..syscall import Command, LinkCreate, PerfEventAttr, bpf, perf_event_open, refusal, u64
from .link import HeldLink, Link

_IOC_SET_BPF, _IOC_ENABLE = 0x40042408, 0x2400
_FREQUENCY = 1 << 10  # attr.freq: sample_period is a frequency in hertz


class PerfType(IntEnum):
    """PERF_TYPE_*: the type of a perf event. It determines the meaning of ``config``."""

    HARDWARE = 0
    SOFTWARE = 1
    TRACEPOINT = 2
    HW_CACHE = 3
    RAW = 4


CPU_CLOCK, TASK_CLOCK, PAGE_FAULTS, CONTEXT_SWITCHES, CPU_MIGRATIONS = range(5)
"""PERF_COUNT_SW_*: the events of :attr:`PerfType.SOFTWARE`. The clocks count nanoseconds."""


class _PerfLinkCreate(LinkCreate):
    _fields_ = (("cookie", u64),)


def attach_perf_event(
    program: Program,
    type: int = PerfType.SOFTWARE,  # noqa: A002
    config: int = CPU_CLOCK,
    *,
    period: int = 0,
    frequency: int = 0,
    pid: int = -1,
    cpu: int = 0,
    cookie: int = 0,
) -> Link:
    """Runs ``program`` every ``period`` events, or about ``frequency`` times a second.

    If the event is a clock, this is a timer. ``pid`` is a thread (0: the calling thread, -1: all threads). ``cpu`` is a CPU
    (-1: all CPUs; only for a single thread). ``cookie`` is what bpf_get_attach_cookie() returns.

    Raises :class:`~ebpfnn.errors.NotSupported` if this machine does not count the event, else KernelError.
    """
    what = f"perf event {type}:{config}"
    if bool(period) == bool(frequency):
        raise KernelError(f"{what}: its rate is ambiguous; give either a period or a frequency", errno.EINVAL)
    attributes = PerfEventAttr(
        type=type, config=config, sample_period=period or frequency, flags=_FREQUENCY if frequency else 0
    )
    try:
        fd = perf_event_open(attributes, what, pid, cpu)
    except KernelError as refused:
        if refused.errno in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
            raise NotSupported(
                f"{what}: this machine does not support it ({refused.code}); use the software CPU clock"
            ) from None
        raise
    with Descriptor(fd, what) as held:
        return link_perf_event(program, held, what, cookie)


def link_perf_event(program: Program, event: Descriptor, what: str, cookie: int = 0) -> Link:
    """Attaches with a BPF link if the kernel has links for perf events (Linux 5.15, commit b89fbfbb854c), else with an ioctl.

    ``event`` may be closed afterwards. Raises :class:`~ebpfnn.errors.KernelError`.
    """
    whole = f"{what}: attaching '{program.name}'"
    try:
        attributes = _PerfLinkCreate(program.fileno(), event.fileno(), AttachType.PERF_EVENT, 0, cookie)
        return Link(bpf(Command.LINK_CREATE, attributes, whole), what)
    except KernelError as refused:
        if refused.errno != errno.EINVAL:
            raise
    if cookie:
        raise NotSupported(
            f"{whole} with a cookie needs Linux 5.15, or the program is of another type; attach without a cookie"
        )
    try:
        fcntl.ioctl(event.fileno(), _IOC_SET_BPF, program.fileno())
        fcntl.ioctl(event.fileno(), _IOC_ENABLE, 0)
    except OSError as fault:
        raise refusal(whole, fault.errno or 0) from None
    return HeldLink(event.release(), what)
