"""Creates one map, also on a kernel that does not support all requested properties."""

from __future__ import annotations

import errno
import warnings
from contextlib import suppress

from ...errors import KernelError, NotSupported
from ...obj import MapSpec
from ...obj.maps import holds_values
from ...obj.uapi import LINK, MMAPABLE, MapType
from .. import features
from ..fd import Descriptor
from ..memlock import charging
from ..syscall import Command, MapCreate, bpf
from .map_misfit import told_misfit

# Map types for which the kernel accepts no BTF types of keys and values (libbpf 1.5, bpf_object__create_map).
_UNTYPED = frozenset(
    {MapType.PERF_EVENT_ARRAY, MapType.CGROUP_ARRAY, MapType.STACK_TRACE, MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS}
    | {MapType.DEVMAP, MapType.DEVMAP_HASH, MapType.CPUMAP, MapType.XSKMAP, MapType.SOCKMAP, MapType.SOCKHASH}
    | {MapType.QUEUE, MapType.STACK, MapType.ARENA}
)
_UNKNOWN = (errno.EINVAL, errno.E2BIG)
_LONGEST_NAME = 15  # BPF_OBJ_NAME_LEN without its NUL
_SUFFIX = 7  # characters that libbpf reserves for the name of a section, if it is shorter (".rodata" is not)


def create_map(spec: MapSpec, btf_fd: int = 0, inner_fd: int = 0, object_name: str = "") -> int:
    """Creates a map and returns its descriptor.

    The name and BPF_F_MMAPABLE are optional: they are dropped if the kernel does not know them. The BTF types are dropped if
    the kernel refuses the map with them, with a :class:`RuntimeWarning`. The map of a data section is named after the object,
    if the object has a name.

    Raises :class:`~ebpfnn.errors.NotSupported` for a struct_ops map that needs a link, if the kernel has no such links, else
    :class:`~ebpfnn.errors.KernelError` with the first error of the kernel.
    """
    attributes = _attributes(spec, btf_fd, inner_fd)
    attributes.map_name = kernel_name(map_name(spec.name, object_name))
    try:
        return _create(attributes, spec)
    except KernelError as refusal:
        if refusal.errno not in _UNKNOWN:
            raise
        first = refusal
    with suppress(KernelError):
        if _drop_unknown(attributes):
            return _create(attributes, spec)
    with suppress(KernelError):
        if _drop_types(attributes):
            with Descriptor(_create(attributes, spec), spec.name) as held:
                if not features.missing_btf():  # else the types were sanitized, and may no longer fit a map
                    warnings.warn(f"{first}; created without BTF", RuntimeWarning, stacklevel=2)
                return held.release()
    if attributes.map_type == MapType.STRUCT_OPS and attributes.map_flags & LINK:
        with suppress(KernelError):
            attributes.map_flags &= ~LINK
            Descriptor(_create(attributes, spec), spec.name).close()
            raise NotSupported(f"map '{spec.name}': struct_ops links need Linux 6.4; put it into section .struct_ops")
    raise told_misfit(spec, first)


def kernel_name(name: str) -> bytes:
    """Returns the first 15 characters, with ``_`` for each that the kernel does not allow in a name (``bpf_obj_name_cpy``)."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)[:_LONGEST_NAME].encode()


def map_name(name: str, object_name: str) -> str:
    """Returns the name that other tools expect. The map of a plain data section has the start of the object's name as prefix.

    The rule is that of libbpf 1.5 (``internal_map_name``): in ``count.bpf.o``, ``.rodata`` becomes ``count.rodata``, and
    ``.rodata.settings`` does not change.
    """
    if not holds_values(name) or "." in name[1:]:
        return name
    room = _LONGEST_NAME - max(len(name), _SUFFIX)
    return object_name.partition(".")[0][:room] + name


def _attributes(spec: MapSpec, btf_fd: int, inner_fd: int) -> MapCreate:
    attributes = MapCreate(
        map_type=spec.type,
        key_size=spec.key_size,
        value_size=spec.value_size,
        max_entries=spec.max_entries,
        map_flags=spec.flags,
        inner_map_fd=inner_fd,
        numa_node=spec.numa_node,
        map_extra=spec.extra,
        btf_vmlinux_value_type_id=spec.kernel_type_id,
    )
    if btf_fd and spec.kernel_type_id:
        attributes.btf_fd = btf_fd
    elif btf_fd and spec.value_type_id and spec.type not in _UNTYPED:
        attributes.btf_fd, attributes.btf_key_type_id = btf_fd, spec.key_type_id
        attributes.btf_value_type_id = spec.value_type_id
    return attributes


def _create(attributes: MapCreate, spec: MapSpec) -> int:
    return charging(lambda: bpf(Command.MAP_CREATE, attributes, f"map '{spec.name}'"))


def _drop_unknown(attributes: MapCreate) -> bool:
    """Removes the properties that the kernel does not know. Returns whether there were any."""
    before = bytes(attributes)
    if not features.has_object_names():
        attributes.map_name = b""
    if attributes.map_flags & MMAPABLE and not features.has_mmapable_arrays():
        attributes.map_flags &= ~MMAPABLE
    return bytes(attributes) != before


def _drop_types(attributes: MapCreate) -> bool:
    """Removes the BTF types of key and value. Returns whether there were any."""
    had = bool(attributes.btf_value_type_id)
    if had:
        attributes.btf_fd = attributes.btf_key_type_id = attributes.btf_value_type_id = 0
    return had
