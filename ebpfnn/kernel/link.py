"""Links: a program in place at an event, until the link is closed or, where it is pinned, unpinned."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

from ..errors import KernelError, NotSupported, PluginError
from . import pinning
from .fd import Descriptor
from .program import Program
from .syscall import Command, LinkCreate, PerfEventAttr, bpf, perf_event_open, refusal

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_PERF_TYPE_TRACEPOINT = 2
_ATTACH_PERF_EVENT = 41  # BPF_PERF_EVENT
_IOC_SET_BPF, _IOC_ENABLE = 0x40042408, 0x2400


class Link(Descriptor):
    """A program attached through BPF_LINK_CREATE. It detaches when the link's last descriptor and pin are gone."""

    def pin(self, path: Path) -> None:
        """Keeps the program attached after this process. Raises as :func:`ebpfnn.kernel.pinning.pin` does."""
        pinning.pin(self, path)

    @classmethod
    def open(cls, path: Path) -> Link:
        """The link that is pinned at ``path``. Raises :class:`KernelError`."""
        return cls(pinning.open_pin(path, "a link"), path.name)


class PerfEventLink(Link):
    """A program on a perf event of a kernel before 5.15, which has no link for it: the event itself is what is held."""

    def pin(self, path: Path) -> None:
        raise NotSupported(f"pin '{path}': this kernel cannot pin a perf event (Linux 5.15 can); keep the process running")


def attach_tracepoint(program: Program, category: str, event: str) -> Link:
    """Attaches to ``category:event``, for every process on every CPU.

    Raises :class:`NotSupported` without tracefs, :class:`PluginError` for an event that is not there, else KernelError.
    """
    what = f"tracepoint '{category}:{event}'"
    attributes = PerfEventAttr(type=_PERF_TYPE_TRACEPOINT, config=tracepoint_id(category, event), sample_period=1)
    with Descriptor(perf_event_open(attributes, what), what) as held:
        return _link_perf_event(program, held, what)


def tracepoint_id(category: str, event: str) -> int:
    """The number by which perf_event_open(2) knows the tracepoint. Raises as :func:`attach_tracepoint` does."""
    events = tracefs() / "events"
    try:
        return int((events / category / event / "id").read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise PluginError(f"tracepoint '{category}:{event}' not found; `ls {events}/{category}` shows what there is") from None


def tracefs() -> Path:
    """Where tracefs is mounted. Raises :class:`NotSupported` with the command that mounts it."""
    for place in TRACEFS:
        try:
            if (place / "events").exists():
                return place
        except PermissionError:
            raise NotSupported(f"tracefs: '{place}' is closed to this user; run as root, or mount it with gid= yours") from None
    raise NotSupported(f"tracefs is not mounted; mount -t tracefs tracefs {TRACEFS[0]}")


def _link_perf_event(program: Program, event: Descriptor, what: str) -> Link:
    """A real link where the kernel has one for perf events (Linux 5.15, commit b89fbfbb854c), else an ioctl."""
    attributes = LinkCreate(program.fileno(), event.fileno(), _ATTACH_PERF_EVENT)
    try:
        return Link(bpf(Command.LINK_CREATE, attributes, what), what)
    except KernelError as refused:
        if refused.errno != errno.EINVAL:
            raise
    try:
        fcntl.ioctl(event.fileno(), _IOC_SET_BPF, program.fileno())
        fcntl.ioctl(event.fileno(), _IOC_ENABLE, 0)
    except OSError as fault:
        raise refusal(f"{what}: attaching '{program.name}'", fault.errno or 0) from None
    return PerfEventLink(event.detach(), what)
