"""BTF that the kernel holds under an id: the BTF of its modules, and the BTF of loaded programs."""

from __future__ import annotations

import ctypes
import errno

from ...errors import KernelError, NotSupported
from ...obj import Btf
from .. import ids
from ..fd import Descriptor
from ..info import BtfInfo, read_info
from .program import Program

_NAME_SIZE = 64  # MODULE_NAME_LEN is 56


def module_descriptor(name: str) -> Descriptor:
    """Returns a descriptor of the BTF of a loaded module (Linux 5.11).

    The BTF identifies the functions and variables of the module. Raises :class:`NotSupported` if the module is not loaded or
    has no BTF, else :class:`~ebpfnn.errors.KernelError`.
    """
    for number in ids.ids(ids.Kind.BTF):
        try:
            held = Descriptor(ids.open_id(ids.Kind.BTF, number), f"BTF of module {name}")
        except KernelError as refused:
            if refused.errno == errno.ENOENT:  # it was removed in the meantime
                continue
            raise
        with held:
            if _module_name(held) == name:
                return Descriptor(held.release(), held.name)
    raise NotSupported(f"module '{name}' is not loaded, or has no types; modprobe {name}")


def program_types(program: Program) -> Btf:
    """Returns the BTF that ``program`` was loaded with. Raises :class:`NotSupported` if it was loaded without BTF."""
    number = program.info().btf_id
    if not number:
        raise NotSupported(f"program '{program.name}' was loaded without BTF, so its functions are unknown; build it with -g")
    with Descriptor(ids.open_id(ids.Kind.BTF, number), f"BTF of '{program.name}'") as held:
        found = BtfInfo()
        read_info(held, found)
        data = ctypes.create_string_buffer(found.btf_size)
        found = BtfInfo(btf=ctypes.addressof(data), btf_size=found.btf_size)
        read_info(held, found)
        return Btf.from_bytes(data.raw)


def _module_name(held: Descriptor) -> str | None:
    """Returns the name of the module, or None if the BTF does not belong to a module."""
    name = ctypes.create_string_buffer(_NAME_SIZE)
    found = BtfInfo(name=ctypes.addressof(name), name_len=_NAME_SIZE)
    read_info(held, found)
    text = name.value.decode("ascii", "replace")
    return text if found.kernel_btf and text != "vmlinux" else None
