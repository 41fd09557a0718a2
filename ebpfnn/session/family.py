"""Who is never hit by a guard: this process and its ancestors; and the cgroup of those who may be."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

from .. import abi
from ..errors import SessionError, UsageError
from ..kernel import Map, Object, open_cgroup
from ..obj import ObjectSpec
from ..plugin import object_path
from .loading import check_abi

_FAMILY, _PROGRAM = "family", "ebpfnn_enter_family"
_ROOT = 1  # the inode of the root of every hierarchy (kernfs_create_root, Linux 6.18)
_ONLY = struct.pack("<I", 0)


def put_cgroup(maps: Mapping[str, Map], cgroup: str) -> None:
    """Makes ``cgroup`` the one whose threads may be hit, by a guard with these ``maps``.

    Raises :class:`UsageError` for the root, which has all processes, and :class:`~ebpfnn.errors.KernelError` for a directory
    that is no cgroup of version 2.
    """
    with open_cgroup(Path(cgroup), f"cgroup '{cgroup}'") as held:
        if os.fstat(held.fileno()).st_ino == _ROOT:
            raise UsageError(f"cgroup '{cgroup}' is the root, which has every process of this machine; give one below it")
        maps[abi.CGROUP].update(_ONLY, held)


def spare_family(maps: Mapping[str, Map]) -> None:
    """Enters this process and its ancestors among those that are never hit.

    Raises :class:`SessionError` if not all can be entered, and what :meth:`~ebpfnn.kernel.Object.load` raises.
    """
    spec = ObjectSpec.from_file(object_path(_FAMILY))
    check_abi(spec, str(object_path(_FAMILY)))
    with Object.load(spec, maps={abi.FAMILY: maps[abi.FAMILY]}) as loaded:
        if not loaded.programs[_PROGRAM].run().return_value:
            raise SessionError("the ancestors of this process cannot be followed, so they would not be spared; report this")
