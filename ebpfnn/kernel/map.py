"""Maps: memory that programs and user space share."""

from __future__ import annotations

import ctypes
import errno
import mmap
from pathlib import Path

from ..errors import KernelError
from ..obj import MapSpec
from . import info, pinning
from .fd import Descriptor
from .memlock import charging
from .syscall import Command, MapCreate, MapElement, MapFd, bpf, refusal

ANY, NOEXIST, EXIST = 0, 1, 2
"""Whether :meth:`Map.update` may replace, must create, or must replace (BPF_ANY, BPF_NOEXIST, BPF_EXIST)."""


class Map(Descriptor):
    """A map in the kernel. Keys and values are ``bytes`` of exactly ``key_size`` and ``value_size``."""

    def __init__(self, fd: int, name: str, type: int, key_size: int, value_size: int, max_entries: int) -> None:  # noqa: A002
        super().__init__(fd, name)
        self.type, self.key_size, self.value_size, self.max_entries = type, key_size, value_size, max_entries

    @classmethod
    def create(cls, spec: MapSpec, btf_fd: int = 0) -> Map:
        """Creates the map, fills it where the spec has contents, and freezes it where the spec says so.

        Raises :class:`~ebpfnn.errors.KernelError`.
        """
        what = f"map '{spec.name}'"
        attributes = MapCreate(
            map_type=spec.type,
            key_size=spec.key_size,
            value_size=spec.value_size,
            max_entries=spec.max_entries,
            map_flags=spec.flags,
            map_name=kernel_name(spec.name),
        )
        if btf_fd and spec.value_type_id:
            attributes.btf_fd, attributes.btf_key_type_id = btf_fd, spec.key_type_id
            attributes.btf_value_type_id = spec.value_type_id
        fd = charging(lambda: bpf(Command.MAP_CREATE, attributes, what))
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
        with Descriptor(pinning.open_pin(path, "a map"), str(path)) as held:
            found = info.MapInfo()
            info.read_info(held, found)
            return cls(held.detach(), path.name, found.type, found.key_size, found.value_size, found.max_entries)

    def lookup(self, key: bytes) -> bytes | None:
        """The value at ``key``, None where there is none."""
        value = ctypes.create_string_buffer(self.value_size)
        try:
            self._element(Command.MAP_LOOKUP_ELEM, key, value)
        except KernelError as refused:
            if refused.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def update(self, key: bytes, value: bytes, flags: int = ANY) -> None:
        """Sets the value at ``key``. Raises :class:`~ebpfnn.errors.KernelError`, EEXIST or ENOENT as ``flags`` demand."""
        if len(value) != self.value_size:
            raise KernelError(f"map '{self.name}' takes values of {self.value_size} bytes, not {len(value)}", errno.EINVAL)
        self._element(Command.MAP_UPDATE_ELEM, key, ctypes.create_string_buffer(value, len(value)), flags)

    def delete(self, key: bytes) -> None:
        """Removes ``key``. Raises :class:`~ebpfnn.errors.KernelError`, ENOENT where it is not there."""
        self._element(Command.MAP_DELETE_ELEM, key, None)

    def freeze(self) -> None:
        """Closes the map to every writer in user space, for good (Linux 5.2)."""
        bpf(Command.MAP_FREEZE, MapFd(self.fileno()), f"map '{self.name}'")

    def mmap(self) -> mmap.mmap:
        """The elements of an array created with BPF_F_MMAPABLE (Linux 5.5), one behind the other, 8-byte aligned.

        The memory keeps the map alive until it is closed. Raises :class:`~ebpfnn.errors.KernelError` for any other map.
        """
        page = mmap.PAGESIZE
        size = (self.element_stride * self.max_entries + page - 1) // page * page
        try:
            return mmap.mmap(self.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as fault:
            raise refusal(f"map '{self.name}': mmap", fault.errno or 0) from None

    @property
    def element_stride(self) -> int:
        """Bytes from one element of an array to the next (``array_map_alloc`` rounds up to 8)."""
        return (self.value_size + 7) // 8 * 8

    def pin(self, path: Path) -> None:
        """Keeps the map under a name. Raises as :func:`ebpfnn.kernel.pinning.pin` does."""
        pinning.pin(self, path)

    def info(self) -> info.MapInfo:
        """What the kernel says of it."""
        found = info.MapInfo()
        info.read_info(self, found)
        return found

    def _element(self, command: Command, key: bytes, value: ctypes.Array[ctypes.c_char] | None, flags: int = ANY) -> None:
        if len(key) != self.key_size:
            raise KernelError(f"map '{self.name}' takes keys of {self.key_size} bytes, not {len(key)}", errno.EINVAL)
        key_buffer = ctypes.create_string_buffer(key, len(key))
        address = ctypes.addressof(value) if value is not None else 0
        attributes = MapElement(self.fileno(), 0, ctypes.addressof(key_buffer), address, flags)
        bpf(command, attributes, f"map '{self.name}'")


def kernel_name(name: str) -> bytes:
    """At most 15 characters of those that the kernel allows in an object's name (``bpf_obj_name_cpy``)."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)[-15:].encode()
