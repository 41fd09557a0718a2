"""Iterators: programs that the kernel runs for each task, map, element, ... (Linux 5.8). Their output is read like a file."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

from ...errors import NotSupported
from ...obj.uapi import AttachType
from ..fd import Descriptor
from ..load.program import Program
from ..map import Map
from ..syscall import Command, LinkCreate, LinkFd, bpf, u32, u64
from .link import Link

_CHUNK = 1 << 16


class _MapTarget(ctypes.Structure):
    _fields_ = (("map_fd", u32),)


class _TaskTarget(ctypes.Structure):
    _fields_ = (("tid", u32), ("pid", u32), ("pid_fd", u32))


class _IteratorLinkCreate(LinkCreate):
    _fields_ = (("info", u64), ("info_size", u32))


class IteratorLink(Link):
    """An attached iterator. Every call of :meth:`chunks` starts a new walk. A pin of the link can be read like a file."""

    def chunks(self) -> Iterator[bytes]:
        """Yields the output of one walk, piece by piece. Raises :class:`~ebpfnn.errors.KernelError`."""
        with Descriptor(bpf(Command.ITER_CREATE, LinkFd(self.fileno()), self.name), self.name) as held:
            while True:
                try:
                    chunk = os.read(held.fileno(), _CHUNK)
                except BlockingIOError:  # after a million objects without output (bpf_seq_read); the walk goes on
                    continue
                if not chunk:
                    return
                yield chunk

    def read(self) -> bytes:
        """Returns the whole output of one walk."""
        return b"".join(self.chunks())


def attach_iterator(program: Program, *, map: Map | None = None, tid: int = 0, pid: int = 0) -> IteratorLink:  # noqa: A002
    """Creates an iterator.

    A program that iterates over the elements of a map needs ``map``. ``tid`` or ``pid`` restrict a program that iterates over
    tasks to one thread or process. Raises :class:`~ebpfnn.errors.NotSupported` if the kernel cannot restrict the tasks (before
    Linux 6.1), else KernelError.
    """
    what = f"iterator '{program.name}'"
    target: ctypes.Structure | None = None
    if map is not None:
        target = _MapTarget(map.fileno())
    elif tid or pid:
        target = _TaskTarget(tid, pid)
    attributes = _IteratorLinkCreate(program.fileno(), 0, AttachType.TRACE_ITER)
    if target is not None:
        attributes.info, attributes.info_size = ctypes.addressof(target), ctypes.sizeof(target)
    link = IteratorLink.create(attributes, what)
    if isinstance(target, _TaskTarget) and _visits_all_tasks(link):
        link.close()
        raise NotSupported(f"{what}: a single task needs Linux 6.1, this kernel visits all; select it in the program")
    return link


def _visits_all_tasks(link: IteratorLink) -> bool:
    """Whether the kernel ignored the request for one task, as kernels before 6.1 do (commit f0d74c4da1f0)."""
    seen = link.info().target
    return not seen.get("tid") and not seen.get("pid")
