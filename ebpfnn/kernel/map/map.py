"""Maps: memory that programs and user space share."""

from __future__ import annotations

import ctypes
import errno
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import KernelError
from ...obj import MapSpec
from .. import ids, info, pinning
from ..fd import Descriptor
from ..syscall import Command, MapFd, bpf
from . import batch, iteration, percpu, view
from .elements import ANY, Elements
from .map_creation import create_map

if TYPE_CHECKING:
    import numpy.typing as npt

BATCH = 1024
"""The default size of a batch, in elements."""


class Map(Elements):
    """A map in the kernel. Keys and values are ``bytes`` of exactly ``key_size`` and :attr:`exchanged_size`."""

    @classmethod
    def create(cls, spec: MapSpec, btf_fd: int = 0, inner: Map | None = None, *, object_name: str = "") -> Map:
        """Creates the map, fills it where the spec has contents, and freezes it where the spec says so.

        ``inner`` is the pattern of the maps that a map of maps holds; it may be closed afterwards. ``object_name`` stands
        in front of the name of a data section's map, as the kernel has it.

        Raises :class:`~ebpfnn.errors.KernelError`.
        """
        fd = create_map(spec, btf_fd, inner.fileno() if inner else 0, object_name)
        created = cls(fd, spec.name, spec.type, spec.key_size, spec.value_size, spec.max_entries)
        try:
            if spec.contents is not None:
                created.update(bytes(spec.key_size), spec.contents)
            if spec.frozen:
                created.freeze()
        except BaseException:
            created.close()
            raise
        return created

    @classmethod
    def open(cls, path: Path) -> Map:
        """The map that is pinned at ``path``. Raises :class:`~ebpfnn.errors.KernelError`."""
        return cls._adopt(pinning.open_pin(path, "a map"), path.name)

    @classmethod
    def from_id(cls, id: int) -> Map:  # noqa: A002
        """The map of that id, whoever made it. Raises :class:`~ebpfnn.errors.KernelError`, ENOENT where there is none."""
        return cls._adopt(ids.open_id(ids.Kind.MAP, id), None)

    @classmethod
    def _adopt(cls, fd: int, name: str | None) -> Map:
        with Descriptor(fd, name or "map") as held:
            found = info.MapInfo()
            info.read_info(held, found)
            called = name or found.name.decode("ascii", "replace")
            return cls(held.release(), called, found.type, found.key_size, found.value_size, found.max_entries)

    def keys(self) -> Iterator[bytes]:
        """Every key once; you may delete the current key.

        Raises :class:`~ebpfnn.errors.KernelError` if other writers change the map too fast.
        """
        return iteration.keys(self)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key with its value, except keys that are deleted meanwhile."""
        return iteration.items(self)

    def lookup_batch(self, size: int = BATCH) -> Iterator[tuple[bytes, bytes]]:
        """Every key with its value, ``size`` per system call (Linux 5.6); like :meth:`items` if batches are not supported."""
        return batch.lookup(self, size)

    def count(self, seconds: float) -> int | None:
        """How many elements it has, None if that takes longer than ``seconds``. Those that change meanwhile may be missed."""
        return batch.count(self, BATCH, seconds)

    def lookup_and_delete_batch(self, size: int = BATCH) -> Iterator[tuple[bytes, bytes]]:
        """Drains the map: every key with its value, removed when it is read.

        Fetched elements are no longer in the map: a caller that stops early loses the rest of the batch.
        """
        return batch.lookup_and_delete(self, size)

    def update_batch(self, items: Iterable[tuple[bytes, bytes]], flags: int = ANY, size: int = BATCH) -> int:
        """Sets many values and returns how many. Raises :class:`~ebpfnn.errors.KernelError`, saying how far it came."""
        return batch.update(self, items, flags, size)

    def delete_batch(self, keys: Iterable[bytes], size: int = BATCH) -> int:
        """Removes many keys and returns how many. Raises :class:`~ebpfnn.errors.KernelError` at the first that is not there."""
        return batch.delete(self, keys, size)

    def push(self, value: bytes, flags: int = ANY) -> None:
        """Adds ``value`` to a queue, a stack or a bloom filter (no keys). With :data:`EXIST` a full queue drops its oldest.

        Raises :class:`~ebpfnn.errors.KernelError`, E2BIG where it is full.
        """
        self.update(b"", value, flags)

    def pop(self) -> bytes | None:
        """Takes the next value from a queue or stack, None where it is empty."""
        return self.lookup_and_delete(b"")

    def peek(self) -> bytes | None:
        """The next value of a queue or stack, which stays; None where it is empty."""
        return self.lookup(b"")

    def contains(self, value: bytes) -> bool:
        """Whether ``value`` may have been pushed to this bloom filter: False is certain, True is probable (Linux 5.16)."""
        self.check_value(value)
        try:
            self._element(Command.MAP_LOOKUP_ELEM, b"", ctypes.create_string_buffer(value, len(value)))
        except KernelError as refused:
            if refused.errno == errno.ENOENT:
                return False
            raise
        return True

    def lookup_percpu(self, key: bytes, dtype: npt.DTypeLike) -> npt.NDArray[Any] | None:
        """The values of a per-CPU map at ``key``: shape [possible CPUs], or [possible CPUs, n] where n items fill a value.

        None where there is none. Raises :class:`~ebpfnn.errors.KernelError` for another map, or a dtype that does not fit.
        """
        return percpu.lookup(self, key, dtype)

    def update_percpu(self, key: bytes, values: npt.ArrayLike, flags: int = ANY) -> None:
        """Sets every CPU's value at ``key``: the first axis is the possible CPUs, the rest is exactly one value.

        Raises :class:`~ebpfnn.errors.KernelError`.
        """
        percpu.update(self, key, values, flags)

    def freeze(self) -> None:
        """Makes the map read-only for user space, permanently (Linux 5.2)."""
        bpf(Command.MAP_FREEZE, MapFd(self.fileno()), f"map '{self.name}'")

    def mmap(self, *, writable: bool = True) -> mmap.mmap:
        """The elements of an array created with BPF_F_MMAPABLE (Linux 5.5), one behind the other, 8-byte aligned.

        The memory keeps the map alive until it is closed. Raises :class:`~ebpfnn.errors.KernelError` for any other map, and
        where a frozen one is to be ``writable``.
        """
        return view.share(self, writable)

    def array(self, dtype: npt.DTypeLike, *, writable: bool = True) -> npt.NDArray[Any]:
        """The same memory as an array: shape [max_entries], or [max_entries, n] where n items fill a value.

        It changes as programs write. Raises as :meth:`mmap` does, and for a dtype that does not divide a value.
        """
        return view.as_array(self, dtype, writable)

    def pin(self, path: Path) -> None:
        """Pins the map. Raises as :func:`ebpfnn.kernel.pinning.pin` does."""
        pinning.pin(self, path)

    def info(self) -> info.MapInfo:
        """What the kernel says of it."""
        found = info.MapInfo()
        info.read_info(self, found)
        return found
