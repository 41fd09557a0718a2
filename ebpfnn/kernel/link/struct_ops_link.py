"""Registering a struct_ops map with the kernel: from then on its programs are called."""

from __future__ import annotations

import ctypes
from functools import partial

from ...errors import ObjectError
from ...obj.uapi import LINK, AttachType
from ..load.object import Object
from ..syscall import Command, LinkCreate, MapElement, bpf
from .link import HeldLink, Link, duplicate

_KEY = bytes(4)


def attach_struct_ops(loaded: Object, name: str) -> Link:
    """Registers the struct_ops map ``name``; closing the link unregisters it.

    A map of section ``.struct_ops`` is registered directly (Linux 5.6), one of ``.struct_ops.link`` by a link (6.4). Raises
    :class:`ObjectError` if there is no such map, else :class:`~ebpfnn.errors.KernelError`.
    """
    if name not in loaded.struct_ops:
        there = ", ".join(sorted(loaded.struct_ops)) or "none"
        raise ObjectError(f"{loaded.name}: no struct_ops map '{name}'; there are: {there}")
    held, value = loaded.maps[name], loaded.struct_ops[name]
    what = f"struct_ops '{name}'"
    if value.spec.flags & LINK:
        held.update(_KEY, value.filled(loaded.programs))
        return Link.create(LinkCreate(held.fileno(), 0, AttachType.STRUCT_OPS), what)
    with duplicate(held, what) as kept:  # first: nothing stays registered for want of a descriptor
        held.update(_KEY, value.filled(loaded.programs))
        own = kept.release()
    return HeldLink(own, what, partial(_unregister, own, what))


def _unregister(fd: int, what: str) -> None:
    key = ctypes.create_string_buffer(_KEY, len(_KEY))
    bpf(Command.MAP_DELETE_ELEM, MapElement(fd, 0, ctypes.addressof(key)), what)
