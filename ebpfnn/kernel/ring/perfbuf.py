"""The consumer of BPF_MAP_TYPE_PERF_EVENT_ARRAY: a ring for every CPU, written by bpf_perf_event_output() (Linux 4.3).

The layout of a ring and of its records is perf_event_open(2)'s. Newer kernels have something better: :mod:`.ringbuf`.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from types import TracebackType
from typing import NamedTuple

from ...errors import KernelError
from ...obj.uapi import MapType
from ..cpus import online_cpus
from ..fd import Descriptor
from ..map import Map
from ..syscall import PerfEventAttr, perf_event_open, refusal
from .barrier import load_acquire, store_release
from .ringbuf import unshare

_TYPE_SOFTWARE, _BPF_OUTPUT, _SAMPLE_RAW = 1, 10, 1 << 10
_LOST, _SAMPLE = 2, 9
_HEADER = struct.Struct("=IHH")  # type, misc, size with this header
_LENGTH = struct.Struct("=I")
_LOSS = struct.Struct("=QQ")  # id, how many
_HEAD, _TAIL = 1024, 1032  # in struct perf_event_mmap_page
_ENABLE = 0x2400  # PERF_EVENT_IOC_ENABLE


class Sample(NamedTuple):
    """What a program wrote on ``cpu``. The kernel pads it: ``data`` may be up to 7 bytes longer than what was written."""

    cpu: int
    data: bytes


class PerfBuffer(AbstractContextManager["PerfBuffer"]):
    """The rings of all online CPUs. ``lost`` counts the samples that did not fit; it grows when rings are read."""

    def __init__(self, held: Map, pages: int = 8) -> None:
        """Opens one ring of ``pages`` (a power of two) a CPU and puts them into the map, which may be closed meanwhile.

        Raises :class:`~ebpfnn.errors.KernelError`.
        """
        if held.type != MapType.PERF_EVENT_ARRAY:
            raise KernelError(f"map '{held.name}' is not a perf event array; its type must be BPF_MAP_TYPE_PERF_EVENT_ARRAY")
        if pages < 1 or pages & (pages - 1):
            raise KernelError(f"perf buffer '{held.name}': a ring cannot have {pages} pages; give a power of two")
        self.name, self.lost = held.name, 0
        with ExitStack() as resources:
            self._epoll = resources.enter_context(select.epoll())
            kept = resources.enter_context(_duplicate(held))
            self._rings = []
            for cpu in (cpu for cpu in online_cpus() if cpu < held.max_entries):
                ring = resources.enter_context(closing(_Ring(f"perf buffer '{held.name}' on CPU {cpu}", cpu, pages)))
                self._rings.append(ring)
                kept.update(struct.pack("=I", cpu), ring.event)
                resources.callback(_take_out, kept, cpu)
                self._epoll.register(ring.event.fileno(), select.EPOLLIN)
            self._resources = resources.pop_all()

    def fileno(self) -> int:
        """A descriptor that becomes readable when a sample arrives."""
        return self._epoll.fileno()

    def consume(self) -> Iterator[Sample]:
        """The available samples, CPU by CPU, oldest first, without waiting."""
        if self._epoll.closed:
            raise KernelError(f"the consumer of perf buffer '{self.name}' is closed; create another one")
        for ring in self._rings:
            for record in ring.records():
                if isinstance(record, int):
                    self.lost += record
                else:
                    yield Sample(ring.cpu, record)

    def poll(self, timeout: float | None = None) -> Iterator[Sample]:
        """Waits until a sample arrives, at most ``timeout`` seconds (None: forever), then yields as :meth:`consume` does."""
        some = False
        for sample in self.consume():
            some = True
            yield sample
        if not some and self._epoll.poll(timeout):
            yield from self.consume()

    def __iter__(self) -> Iterator[Sample]:
        while True:
            yield from self.poll()

    def close(self) -> None:
        """Closes the rings and removes them from the map, so that programs write to none. May be called more than once."""
        self._resources.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _duplicate(held: Map) -> Map:
    return Map(os.dup(held.fileno()), held.name, held.type, held.key_size, held.value_size, held.max_entries)


def _take_out(held: Map, cpu: int) -> None:
    """The map holds on to an event that its opener has closed (``bpf_fd_array_map_update_elem``)."""
    try:
        held.delete(struct.pack("=I", cpu))
    except KernelError as refused:
        if refused.errno != errno.ENOENT:  # somebody has taken it out already
            raise


class _Ring:
    """One CPU's ring."""

    def __init__(self, what: str, cpu: int, pages: int) -> None:
        self.cpu, self._size = cpu, pages * mmap.PAGESIZE
        attributes = PerfEventAttr(
            type=_TYPE_SOFTWARE, config=_BPF_OUTPUT, sample_type=_SAMPLE_RAW, sample_period=1, wakeup_events=1
        )
        with Descriptor(perf_event_open(attributes, what, cpu=cpu), what) as event:
            try:
                self._memory = mmap.mmap(event.fileno(), mmap.PAGESIZE + self._size)
                fcntl.ioctl(event.fileno(), _ENABLE, 0)
            except OSError as fault:
                raise refusal(what, fault.errno or 0) from None
            self.event = Descriptor(event.release(), what)

    def records(self) -> Iterator[bytes | int]:
        """Samples, and how many samples were lost where some were."""
        head, tail = load_acquire(self._memory, _HEAD), load_acquire(self._memory, _TAIL)
        while tail < head:
            kind, _, size = _HEADER.unpack(self._read(tail, _HEADER.size))
            body = self._read(tail + _HEADER.size, size - _HEADER.size)
            tail += size
            store_release(self._memory, _TAIL, tail)
            if kind == _SAMPLE:
                length: int = _LENGTH.unpack_from(body)[0]
                yield body[_LENGTH.size : _LENGTH.size + length]
            elif kind == _LOST:
                yield int(_LOSS.unpack_from(body)[1])

    def _read(self, position: int, size: int) -> bytes:
        """Bytes of the ring, put together where they wrap around its end."""
        start = position % self._size
        first = self._memory[mmap.PAGESIZE + start : mmap.PAGESIZE + min(start + size, self._size)]
        return first + self._memory[mmap.PAGESIZE : mmap.PAGESIZE + size - len(first)]

    def close(self) -> None:
        unshare(self._memory)
        self.event.close()
