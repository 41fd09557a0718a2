"""Sockmaps: programs for the sockets in a BPF_MAP_TYPE_SOCKMAP or SOCKHASH."""

from __future__ import annotations

import errno

from ...errors import KernelError
from ...obj.uapi import AttachType, MapType
from ..load.program import Program
from ..map import Map
from .link import Link
from .prog_attach import link_or_attach

_TYPES = (MapType.SOCKMAP, MapType.SOCKHASH)


def attach_sockmap(program: Program, sockets: Map, attach_type: AttachType) -> Link:
    """Attaches a stream parser, stream verdict, verdict or message verdict (a link since Linux 6.10).

    The program handles sockets that are added to the map afterwards. Raises :class:`~ebpfnn.errors.KernelError`.
    """
    what = f"{attach_type.name.lower()} of sockmap '{sockets.name}'"
    if sockets.type not in _TYPES:
        raise KernelError(f"{what}: the map is not a SOCKMAP or SOCKHASH; give one", errno.EINVAL)
    return link_or_attach(program, sockets, attach_type, what)
