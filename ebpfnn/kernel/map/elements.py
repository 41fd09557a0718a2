"""Access to single elements of a map, and their sizes; the other access methods use it."""

from __future__ import annotations

import ctypes
import errno
import struct

from ...errors import KernelError
from ..cpus import PER_CPU, values_size
from ..fd import Descriptor
from ..syscall import Command, MapElement, bpf

ANY, NOEXIST, EXIST = 0, 1, 2
"""Whether :meth:`ebpfnn.kernel.Map.update` may replace, must create, or must replace (BPF_ANY, BPF_NOEXIST, BPF_EXIST)."""


class Elements(Descriptor):
    """What a :class:`~ebpfnn.kernel.Map` holds. Keys and values are ``bytes`` of ``key_size`` and :attr:`exchanged_size`."""

    def __init__(self, fd: int, name: str, type: int, key_size: int, value_size: int, max_entries: int) -> None:  # noqa: A002
        super().__init__(fd, name)
        self.type, self.key_size, self.value_size, self.max_entries = type, key_size, value_size, max_entries

    def lookup(self, key: bytes) -> bytes | None:
        """The value at ``key``, None if there is none; for a map of maps or programs, the id of the map or program.

        For a per-CPU map, it is the padded values of every possible CPU: :meth:`lookup_percpu` splits them.
        """
        return self._read(Command.MAP_LOOKUP_ELEM, key)

    def lookup_and_delete(self, key: bytes) -> bytes | None:
        """Removes ``key`` and returns its value, in one step (queues and stacks Linux 4.20, hashes 5.14); None without one."""
        return self._read(Command.MAP_LOOKUP_AND_DELETE_ELEM, key)

    def update(self, key: bytes, value: bytes | Descriptor, flags: int = ANY) -> None:
        """Sets the value at ``key``; maps of maps, programs or sockets take the open map, program or socket.

        Raises :class:`~ebpfnn.errors.KernelError`, EEXIST or ENOENT as ``flags`` require.
        """
        data = struct.pack("=I", value.fileno()).ljust(self.exchanged_size, b"\0") if isinstance(value, Descriptor) else value
        self.check_value(data)
        self._element(Command.MAP_UPDATE_ELEM, key, ctypes.create_string_buffer(data, len(data)), flags)

    def delete(self, key: bytes) -> None:
        """Removes ``key``. Raises :class:`~ebpfnn.errors.KernelError`, ENOENT if it does not exist."""
        self._element(Command.MAP_DELETE_ELEM, key, None)

    @property
    def element_stride(self) -> int:
        """Bytes from one element of an array to the next (``array_map_alloc`` rounds up to 8)."""
        return (self.value_size + 7) // 8 * 8

    @property
    def exchanged_size(self) -> int:
        """Bytes of one key's value as bpf(2) reads and writes it: more than ``value_size`` in a per-CPU map."""
        return values_size(self.value_size) if self.type in PER_CPU else self.value_size

    def check_key(self, key: bytes) -> None:
        """Raises :class:`~ebpfnn.errors.KernelError` for a key of another size than the map's."""
        if len(key) != self.key_size:
            raise KernelError(f"map '{self.name}' has keys of {self.key_size} bytes, not {len(key)}", errno.EINVAL)

    def check_value(self, value: bytes) -> None:
        """Raises :class:`~ebpfnn.errors.KernelError` for a value of another size than :attr:`exchanged_size`."""
        if len(value) != self.exchanged_size:
            raise KernelError(f"map '{self.name}' has values of {self.exchanged_size} bytes, not {len(value)}", errno.EINVAL)

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
