"""Maps: memory that programs and user space share."""

from __future__ import annotations

import ctypes
import errno
import mmap
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import KernelError
from ..obj import MapSpec
from . import batch, ids, info, iteration, percpu, pinning, view
from .fd import Descriptor
from .map_creation import create_map
from .syscall import Command, MapElement, MapFd, bpf

if TYPE_CHECKING:
    import numpy.typing as npt

ANY, NOEXIST, EXIST = 0, 1, 2
"""Whether :meth:`Map.update` may replace, must create, or must replace (BPF_ANY, BPF_NOEXIST, BPF_EXIST)."""
BATCH = 1024
"""Elements that one batch operation moves at most, unless its caller says otherwise."""


class Map(Descriptor):
    """A map in the kernel. Keys and values are ``bytes`` of exactly ``key_size`` and :attr:`exchanged_size`."""

    def __init__(self, fd: int, name: str, type: int, key_size: int, value_size: int, max_entries: int) -> None:  # noqa: A002
        super().__init__(fd, name)
        self.type, self.key_size, self.value_size, self.max_entries = type, key_size, value_size, max_entries

    @classmethod
    def create(cls, spec: MapSpec, btf_fd: int = 0, inner: Map | None = None) -> Map:
        """Creates the map, fills it where the spec has contents, and freezes it where the spec says so.

        ``inner`` is the pattern of the maps that a map of maps holds; it may be closed afterwards.

        Raises :class:`~ebpfnn.errors.KernelError`.
        """
        fd = create_map(spec, btf_fd, inner.fileno() if inner else 0)
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

    def lookup(self, key: bytes) -> bytes | None:
        """The value at ``key``, None where there is none; of a map of maps or programs, the id of what lies there.

        Of a per-CPU map these are the padded values of every possible CPU: :meth:`lookup_percpu` takes them apart.
        """
        return self._read(Command.MAP_LOOKUP_ELEM, key)

    def lookup_and_delete(self, key: bytes) -> bytes | None:
        """Removes ``key`` and returns its value, in one step (queues and stacks Linux 4.20, hashes 5.14); None without one."""
        return self._read(Command.MAP_LOOKUP_AND_DELETE_ELEM, key)

    def update(self, key: bytes, value: bytes | Descriptor, flags: int = ANY) -> None:
        """Sets the value at ``key``; maps of maps, programs or sockets take the open :class:`Descriptor` itself.

        Raises :class:`~ebpfnn.errors.KernelError`, EEXIST or ENOENT as ``flags`` demand.
        """
        data = struct.pack("=I", value.fileno()).ljust(self.exchanged_size, b"\0") if isinstance(value, Descriptor) else value
        self.check_value(data)
        self._element(Command.MAP_UPDATE_ELEM, key, ctypes.create_string_buffer(data, len(data)), flags)

    def delete(self, key: bytes) -> None:
        """Removes ``key``. Raises :class:`~ebpfnn.errors.KernelError`, ENOENT where it is not there."""
        self._element(Command.MAP_DELETE_ELEM, key, None)

    def keys(self) -> Iterator[bytes]:
        """Every key once; deleting the one that was just handed out is safe.

        Raises :class:`~ebpfnn.errors.KernelError` where other writers never let the end be reached.
        """
        return iteration.keys(self)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key with its value, but for those that are deleted before their turn comes."""
        return ((key, value) for key in self.keys() if (value := self.lookup(key)) is not None)

    def lookup_batch(self, size: int = BATCH) -> Iterator[tuple[bytes, bytes]]:
        """Every key with its value, ``size`` of them a system call (Linux 5.6); as :meth:`items` where batches are unknown."""
        return batch.lookup(self, size)

    def lookup_and_delete_batch(self, size: int = BATCH) -> Iterator[tuple[bytes, bytes]]:
        """Drains the map: every key with its value, removed as it is read.

        What was fetched is no longer in the map: a caller that stops early loses the rest of the batch.
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
        """Closes the map to every writer in user space, for good (Linux 5.2)."""
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

    @property
    def element_stride(self) -> int:
        """Bytes from one element of an array to the next (``array_map_alloc`` rounds up to 8)."""
        return (self.value_size + 7) // 8 * 8

    @property
    def exchanged_size(self) -> int:
        """Bytes of one key's value as bpf(2) reads and writes it: more than ``value_size`` in a per-CPU map."""
        return percpu.values_size(self.value_size) if self.type in percpu.TYPES else self.value_size

    def pin(self, path: Path) -> None:
        """Keeps the map under a name. Raises as :func:`ebpfnn.kernel.pinning.pin` does."""
        pinning.pin(self, path)

    def info(self) -> info.MapInfo:
        """What the kernel says of it."""
        found = info.MapInfo()
        info.read_info(self, found)
        return found

    def check_key(self, key: bytes) -> None:
        """Raises :class:`~ebpfnn.errors.KernelError` for a key of another size than the map's."""
        if len(key) != self.key_size:
            raise KernelError(f"map '{self.name}' takes keys of {self.key_size} bytes, not {len(key)}", errno.EINVAL)

    def check_value(self, value: bytes) -> None:
        """Raises :class:`~ebpfnn.errors.KernelError` for a value of another size than :attr:`exchanged_size`."""
        if len(value) != self.exchanged_size:
            raise KernelError(f"map '{self.name}' takes values of {self.exchanged_size} bytes, not {len(value)}", errno.EINVAL)

    def _read(self, command: Command, key: bytes) -> bytes | None:
        value = ctypes.create_string_buffer(self.exchanged_size)
        try:
            self._element(command, key, value)
        except KernelError as refused:
            if refused.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def _element(self, command: Command, key: bytes, value: ctypes.Array[ctypes.c_char] | None, flags: int = ANY) -> None:
        self.check_key(key)
        key_buffer = ctypes.create_string_buffer(key, len(key)) if key else None  # a keyless map refuses even an empty one
        addresses = (ctypes.addressof(given) if given is not None else 0 for given in (key_buffer, value))
        bpf(command, MapElement(self.fileno(), 0, *addresses, flags), f"map '{self.name}'")
