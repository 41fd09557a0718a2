"""Iterates over a map's keys, while programs and other processes change it."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator

from ...errors import KernelError
from ..syscall import Command, MapElement, bpf
from .elements import Elements

_ROUNDS = 8


def keys(held: Elements) -> Iterator[bytes]:
    """See :meth:`ebpfnn.kernel.Map.keys`.

    The successor is fetched before a key is handed out, so that the caller may delete that key. Where somebody else deletes the
    successor, a hash starts again from its first key (``htab_map_get_next_key``): keys that were handed out are passed over.
    They are remembered for that, so that memory grows with the map.
    """
    seen: set[bytes] = set()
    steps, limit = 0, _ROUNDS * max(held.max_entries, 1)
    key = _next(held, None)
    while key is not None:
        following = _next(held, key)
        if key not in seen:
            seen.add(key)
            yield key
        key, steps = following, steps + 1
        if steps > limit:
            raise KernelError(f"map '{held.name}' changes faster than its keys can be listed; stop its writers, or try again")


def items(held: Elements) -> Iterator[tuple[bytes, bytes]]:
    """See :meth:`ebpfnn.kernel.Map.items`."""
    return ((key, value) for key in keys(held) if (value := held.lookup(key)) is not None)


def _next(held: Elements, key: bytes | None) -> bytes | None:
    """The key after ``key``, the first one for None, None at the end."""
    before = None if key is None else ctypes.create_string_buffer(key, len(key))
    behind = ctypes.create_string_buffer(held.key_size)
    address = 0 if before is None else ctypes.addressof(before)
    try:
        bpf(Command.MAP_GET_NEXT_KEY, MapElement(held.fileno(), 0, address, ctypes.addressof(behind)), f"map '{held.name}'")
    except KernelError as refusal:
        if refusal.errno == errno.ENOENT:
            return None
        raise
    return behind.raw
