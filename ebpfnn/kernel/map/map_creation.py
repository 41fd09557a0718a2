"""Creating one map, also on a kernel that does not know all of what is asked for."""

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

# Map types whose keys and values the kernel takes no types for (libbpf 1.5, bpf_object__create_map).
_UNTYPED = frozenset(
    {MapType.PERF_EVENT_ARRAY, MapType.CGROUP_ARRAY, MapType.STACK_TRACE, MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS}
    | {MapType.DEVMAP, MapType.DEVMAP_HASH, MapType.CPUMAP, MapType.XSKMAP, MapType.SOCKMAP, MapType.SOCKHASH}
    | {MapType.QUEUE, MapType.STACK, MapType.ARENA}
)
_UNKNOWN = (errno.EINVAL, errno.E2BIG)
_LONGEST_NAME = 15  # BPF_OBJ_NAME_LEN without its NUL
_SUFFIX = 7  # what libbpf keeps free for a section's name, if that is shorter (".rodata" is not)


def create_map(spec: MapSpec, btf_fd: int = 0, inner_fd: int = 0, object_name: str = "") -> int:
    """A new map's descriptor. What only helps (its name, mapping it) is dropped where the kernel knows none of it.

    So are its types where it is refused with them, with a :class:`RuntimeWarning`. A data section's map is called after the
    object, where that has a name.

    Raises :class:`~ebpfnn.errors.NotSupported` for a struct_ops map that is to have a link where the kernel has none, else
    :class:`~ebpfnn.errors.KernelError`, the first of its refusals.
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
                if not features.missing_btf():  # else types were fitted to what the kernel knows, and may not be a map's now
                    warnings.warn(f"{first}; created without BTF", RuntimeWarning, stacklevel=2)
                return held.release()
    if attributes.map_type == MapType.STRUCT_OPS and attributes.map_flags & LINK:
        with suppress(KernelError):
            attributes.map_flags &= ~LINK
            Descriptor(_create(attributes, spec), spec.name).close()
            raise NotSupported(f"map '{spec.name}': struct_ops links need Linux 6.4; put it into section .struct_ops")
    raise told_misfit(spec, first)


def kernel_name(name: str) -> bytes:
    """The first 15 characters, with ``_`` for those that the kernel allows in no name (``bpf_obj_name_cpy``)."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)[:_LONGEST_NAME].encode()


def map_name(name: str, object_name: str) -> str:
    """What other tools look for: a plain data section's map has the beginning of the object's name in front.

    As in libbpf 1.5, ``internal_map_name``: ``count.bpf.o`` has ``count.rodata``, and ``.rodata.settings`` stays as it is.
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
    """Takes out what the kernel does not know, and tells whether there was any."""
    before = bytes(attributes)
    if not features.has_object_names():
        attributes.map_name = b""
    if attributes.map_flags & MMAPABLE and not features.has_mmapable_arrays():
        attributes.map_flags &= ~MMAPABLE
    return bytes(attributes) != before


def _drop_types(attributes: MapCreate) -> bool:
    """Takes out the types of key and value, and tells whether there were any."""
    had = bool(attributes.btf_value_type_id)
    if had:
        attributes.btf_fd = attributes.btf_key_type_id = attributes.btf_value_type_id = 0
    return had
