"""The producer of BPF_MAP_TYPE_USER_RINGBUF (Linux 6.1): sends records from this process to a program that drains them."""

from __future__ import annotations

import errno
import mmap
import struct
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType

from ...errors import KernelError
from ...obj.uapi import MapType
from ..map import Map
from .barrier import load_acquire, store_release
from .ringbuf import record_size, share, unshare

_HEADER = struct.Struct("=II")


class UserRingBuffer(AbstractContextManager["UserRingBuffer"]):
    """One ring buffer and its only producer. The program receives the records with bpf_user_ringbuf_drain()."""

    def __init__(self, held: Map) -> None:
        """Maps the ring buffer ``held``, which may be closed before the producer.

        Raises :class:`~ebpfnn.errors.KernelError` if the map is of another type.
        """
        if held.type != MapType.USER_RINGBUF:
            raise KernelError(f"map '{held.name}' is not a user ring buffer; its type must be BPF_MAP_TYPE_USER_RINGBUF")
        self.name, self._size = held.name, held.max_entries
        with ExitStack() as resources:
            page = mmap.PAGESIZE
            self._consumer = share(held, page, mmap.PROT_READ, 0)
            resources.callback(unshare, self._consumer)
            self._producer = share(held, page + 2 * self._size, mmap.PROT_READ | mmap.PROT_WRITE, page)
            resources.callback(unshare, self._producer)
            self._resources = resources.pop_all()

    def submit(self, record: bytes) -> None:
        """Sends ``record`` to the program.

        Raises :class:`~ebpfnn.errors.KernelError` with ENOSPC if the ring has too little free space.
        """
        produced, consumed = load_acquire(self._producer, 0), load_acquire(self._consumer, 0)
        needed = record_size(len(record))
        if needed > self._size - (produced - consumed):
            fact = "larger than the ring" if needed > self._size else "larger than the free space until the program drains it"
            raise KernelError(f"user ring buffer '{self.name}': a record of {len(record)} bytes is {fact}", errno.ENOSPC)
        start = mmap.PAGESIZE + produced % self._size
        _HEADER.pack_into(self._producer, start, len(record), 0)
        self._producer[start + _HEADER.size : start + _HEADER.size + len(record)] = record
        store_release(self._producer, 0, produced + needed)

    def close(self) -> None:
        """Unmaps the ring buffer. May be called twice."""
        self._resources.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
