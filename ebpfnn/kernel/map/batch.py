"""Batch operations: many elements in one system call (Linux 5.6), or one by one if the kernel or map type has none.

The kernel answers EINVAL if it knows no batches, and ENOTSUPP (524) for a map type without them. Then single operations either
do the work or report what is wrong.
"""

from __future__ import annotations

import ctypes
import errno
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from ...errors import KernelError
from ..syscall import Command, MapBatch, bpf
from . import iteration
from .elements import Elements

_NO_BATCHES = (errno.EINVAL, 524)
_LARGEST_CURSOR = 4  # bytes; a hash's cursor is a bucket number, another map's is a key
_Item = TypeVar("_Item")
Element = tuple[bytes, bytes]
Buffer = ctypes.Array[ctypes.c_char]


class _NoBatches(Exception):
    """This kernel, or this type of map, has no batches."""


def lookup(held: Elements, size: int) -> Iterator[Element]:
    """See :meth:`ebpfnn.kernel.Map.lookup_batch`."""
    _check_size(held, size)
    return _read(held, Command.MAP_LOOKUP_BATCH, size, lambda: iteration.items(held))


def count(held: Elements, size: int, seconds: float) -> int | None:
    """See :meth:`ebpfnn.kernel.Map.count`."""
    until, found = time.monotonic() + seconds, 0
    try:
        for number, _, _ in _batches(held, Command.MAP_LOOKUP_BATCH, size):
            found += number
            if time.monotonic() > until:
                return None
    except _NoBatches:
        for _ in iteration.keys(held):
            found += 1
            if time.monotonic() > until:
                return None
    return found


def lookup_and_delete(held: Elements, size: int) -> Iterator[Element]:
    """See :meth:`ebpfnn.kernel.Map.lookup_and_delete_batch`.

    What was fetched is no longer in the map: a caller that stops early loses the rest of the batch.
    """
    _check_size(held, size)

    def one_by_one() -> Iterator[Element]:
        for key in iteration.keys(held):
            value = held.lookup_and_delete(key)
            if value is not None:
                yield key, value

    return _read(held, Command.MAP_LOOKUP_AND_DELETE_BATCH, size, one_by_one)


def update(held: Elements, items: Iterable[Element], flags: int, size: int) -> int:
    """See :meth:`ebpfnn.kernel.Map.update_batch`."""
    _check_size(held, size)

    def check(element: Element) -> None:
        held.check_key(element[0])
        held.check_value(element[1])

    done = 0
    for chunk in _chunks(items, size, check):
        keys, values = (b"".join(column) for column in zip(*chunk, strict=True))
        taken = _write(held, Command.MAP_UPDATE_BATCH, len(chunk), keys, values, flags, done)
        _each(chunk[taken:], lambda element: held.update(*element, flags), done + taken)
        done += len(chunk)
    return done


def delete(held: Elements, keys: Iterable[bytes], size: int) -> int:
    """See :meth:`ebpfnn.kernel.Map.delete_batch`."""
    _check_size(held, size)
    done = 0
    for chunk in _chunks(keys, size, held.check_key):
        taken = _write(held, Command.MAP_DELETE_BATCH, len(chunk), b"".join(chunk), b"", 0, done)
        _each(chunk[taken:], held.delete, done + taken)
        done += len(chunk)
    return done


def _each(chunk: list[_Item], work: Callable[[_Item], None], done: int) -> None:
    for i, item in enumerate(chunk):
        try:
            work(item)
        except KernelError as refusal:
            raise _after(refusal, done + i) from None


def _after(refusal: KernelError, done: int) -> KernelError:
    fact, semicolon, remedy = str(refusal).partition("; ")
    return type(refusal)(f"{fact}, after {done} elements{semicolon}{remedy}", refusal.errno)


def _check_size(held: Elements, size: int) -> None:
    if size < 1:
        raise KernelError(f"map '{held.name}': a batch cannot have {size} elements; give 1 or more", errno.EINVAL)


def _chunks(items: Iterable[_Item], size: int, check: Callable[[_Item], None]) -> Iterator[list[_Item]]:
    left = iter(items)
    while chunk := list(islice(left, size)):
        for item in chunk:
            check(item)
        yield chunk


def _write(held: Elements, command: Command, count: int, keys: bytes, values: bytes, flags: int, done: int) -> int:
    """The number of elements that the kernel took: all, or those before it answered that it knows no batches.

    ``done`` is for the error.
    """
    buffers = [ctypes.create_string_buffer(given, max(len(given), 1)) for given in (keys, values)]
    attributes = MapBatch(
        keys=ctypes.addressof(buffers[0]),
        values=ctypes.addressof(buffers[1]) if values else 0,
        count=count,
        map_fd=held.fileno(),
        elem_flags=flags,
    )
    try:
        bpf(command, attributes, f"map '{held.name}'")
    except KernelError as refusal:
        # What stops at an element has a lower count; what is refused as a whole (a frozen map) leaves the count as it was.
        taken = attributes.count if attributes.count < count else 0
        if refusal.errno in _NO_BATCHES:
            return taken
        raise _after(refusal, done + taken) from None
    return count


def _read(held: Elements, command: Command, size: int, one_by_one: Callable[[], Iterator[Element]]) -> Iterator[Element]:
    try:
        for count, keys, values in _batches(held, command, size):
            yield from _elements(held, count, keys.raw, values.raw)
    except _NoBatches:
        yield from one_by_one()


def _batches(held: Elements, command: Command, size: int) -> Iterator[tuple[int, Buffer, Buffer]]:
    """The elements of each batch: how many, their keys, and their values. Raises :class:`_NoBatches` before the first."""
    cursor = ctypes.create_string_buffer(max(held.key_size, _LARGEST_CURSOR))
    started = False
    while True:
        keys, values = (ctypes.create_string_buffer(each * size) for each in (held.key_size, held.exchanged_size))
        attributes = MapBatch(
            in_batch=ctypes.addressof(cursor) if started else 0,
            out_batch=ctypes.addressof(cursor),
            keys=ctypes.addressof(keys),
            values=ctypes.addressof(values),
            count=size,
            map_fd=held.fileno(),
        )
        expected = (errno.ENOENT, errno.ENOSPC) if started else (errno.ENOENT, errno.ENOSPC, *_NO_BATCHES)
        code = _try(command, attributes, held, expected)
        if code in _NO_BATCHES:
            raise _NoBatches
        if code == errno.ENOSPC:  # a bucket of the hash holds more than ``size`` elements
            size *= 2
            continue
        yield attributes.count, keys, values
        if code == errno.ENOENT:
            return
        started = True


def _try(command: Command, attributes: MapBatch, held: Elements, expected: tuple[int, ...]) -> int:
    """0, or the refusal's number where it is an expected one."""
    try:
        bpf(command, attributes, f"map '{held.name}'")
    except KernelError as refusal:
        if refusal.errno in expected:
            return refusal.errno
        raise
    return 0


def _elements(held: Elements, count: int, keys: bytes, values: bytes) -> Iterator[Element]:
    key_size, value_size = held.key_size, held.exchanged_size
    for i in range(count):
        yield keys[i * key_size : (i + 1) * key_size], values[i * value_size : (i + 1) * value_size]
