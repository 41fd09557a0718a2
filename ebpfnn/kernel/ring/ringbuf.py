"""The consumer of BPF_MAP_TYPE_RINGBUF (Linux 5.8; the layout is in the kernel's Documentation/bpf/ringbuf.rst).

A map is one page that holds the consumer's position, one that holds the producers', and the data, mapped twice in a row so that
a record which wraps around reads as one piece.
"""

from __future__ import annotations

import mmap
import select
import struct
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from types import TracebackType

from ...errors import KernelError
from ...obj.uapi import MapType
from ..map import Map
from ..syscall import refusal
from .barrier import load_acquire, order, store_release

_BUSY, _DISCARD = 1 << 31, 1 << 30
_HEADER = struct.Struct("=II")  # length and flags; the page offset is the kernel's own
_PAUSE = 0.0002  # seconds between two looks at a record that its program has reserved and not yet submitted


class RingBuffer(AbstractContextManager["RingBuffer"]):
    """One ring and its only consumer. Iterating over it yields records forever.

    It can be registered with :mod:`selectors`; :func:`poll` waits for several rings at once.
    """

    def __init__(self, held: Map) -> None:
        """``held`` may be closed while the consumer lives. Raises :class:`~ebpfnn.errors.KernelError` for no ring buffer."""
        if held.type != MapType.RINGBUF:
            raise KernelError(f"map '{held.name}' is not a ring buffer; its type must be BPF_MAP_TYPE_RINGBUF")
        self.name, self._size = held.name, held.max_entries
        with ExitStack() as resources:
            page = mmap.PAGESIZE
            self._consumer = share(held, page, mmap.PROT_READ | mmap.PROT_WRITE, 0)
            resources.callback(unshare, self._consumer)
            self._producer = share(held, page + 2 * self._size, mmap.PROT_READ, page)
            resources.callback(unshare, self._producer)
            self._epoll = resources.enter_context(select.epoll())
            self._epoll.register(held.fileno(), select.EPOLLIN)
            self._resources = resources.pop_all()

    def fileno(self) -> int:
        """A descriptor that becomes readable when a record is submitted with a wake-up."""
        return self._epoll.fileno()

    def consume(self) -> Iterator[bytes]:
        """The available records, oldest first, without waiting. Asking for the next record frees the space of the last one."""
        for view in self.views():
            yield bytes(view)

    def views(self) -> Iterator[memoryview]:
        """Like :meth:`consume`, without a copy: each view is valid until the next one is asked for."""
        if self._epoll.closed:
            raise KernelError(f"the consumer of ring buffer '{self.name}' is closed; create another one")
        yield from read_records(self._consumer, self._producer, self._size)

    def poll(self, timeout: float | None = None) -> Iterator[bytes]:
        """Waits until there is a record, at most ``timeout`` seconds (None: forever), then yields as :meth:`consume` does."""
        return (record for _, record in poll((self,), timeout))

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield from self.poll()

    def close(self) -> None:
        """Unmaps the ring. May be called more than once."""
        self._resources.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def poll(rings: Iterable[RingBuffer], timeout: float | None = None) -> Iterator[tuple[RingBuffer, bytes]]:
    """Waits until one of the rings has a record, at most ``timeout`` seconds, then yields what all of them have."""
    watched = list(rings)
    deadline = None if timeout is None else time.monotonic() + timeout
    waiting = select.poll()  # unlike another epoll, it costs no descriptor at every call
    for ring in watched:
        waiting.register(ring, select.POLLIN)
    woken = False
    while True:
        some = False
        for ring in watched:
            for record in ring.consume():
                some = True
                yield ring, record
        left = None if deadline is None else deadline - time.monotonic()
        if some or (left is not None and left <= 0):
            return
        if woken:
            time.sleep(_PAUSE)
        woken = bool(waiting.poll(None if left is None else left * 1000))


def read_records(consumer: mmap.mmap, producer: mmap.mmap, size: int) -> Generator[memoryview, None, None]:
    """Views of what has been submitted, up to the first record that has not; ``size`` is the ring's, in bytes.

    A record is given back to the producers as the next one is asked for, or as the iterator goes.
    """
    position, end = load_acquire(consumer, 0), load_acquire(producer, 0)
    memory = memoryview(producer)
    while position < end:
        start = mmap.PAGESIZE + position % size
        length: int = _HEADER.unpack_from(memory, start)[0]
        if length & _BUSY:
            return
        order()
        data = start + _HEADER.size
        used = length & ~_DISCARD
        try:
            if not length & _DISCARD:
                yield memory[data : data + used]
        finally:  # a consumer that stops here has had this record
            position += record_size(used)
            store_release(consumer, 0, position)


def record_size(length: int) -> int:
    """Bytes of the ring that ``length`` bytes of data take: a header comes first, and records are aligned to 8."""
    return (length + _HEADER.size + 7) // 8 * 8


def share(held: Map, length: int, access: int, offset: int) -> mmap.mmap:
    """Memory of a ring's map. Raises :class:`~ebpfnn.errors.KernelError`."""
    try:
        return mmap.mmap(held.fileno(), length, mmap.MAP_SHARED, access, offset=offset)
    except OSError as fault:
        raise refusal(f"map '{held.name}': mmap", fault.errno or 0) from None


def unshare(memory: mmap.mmap) -> None:
    """Unmaps; what somebody still views goes with the last view."""
    with suppress(BufferError):
        memory.close()
