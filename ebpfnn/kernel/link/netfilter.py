"""Netfilter: the hooks that nftables and iptables use (Linux 6.4)."""

from __future__ import annotations

import ctypes
import errno
import socket
from enum import IntEnum

from ...errors import KernelError, NotSupported
from ...obj.uapi import AttachType
from ..load.program import Program
from ..syscall import LinkCreate, u32
from .link import Link

_DEFRAGMENT = 1  # BPF_F_NETFILTER_IP_DEFRAG


class Hook(IntEnum):
    """NF_INET_*: the points of a packet's path at which programs run."""

    PRE_ROUTING = 0
    LOCAL_IN = 1
    FORWARD = 2
    LOCAL_OUT = 3
    POST_ROUTING = 4


class _NetfilterLinkCreate(LinkCreate):
    _fields_ = (("family", u32), ("hook", u32), ("priority", ctypes.c_int32), ("hook_flags", u32))


def attach_netfilter(
    program: Program, hook: Hook, *, family: int = socket.AF_INET, priority: int = -1, defragment: bool = False
) -> Link:
    """Attaches in this network namespace. ``family`` is AF_INET or AF_INET6. A program with a lower ``priority`` runs earlier.

    Raises :class:`~ebpfnn.errors.NotSupported` if the kernel has no such links, else KernelError, with EBUSY if another program
    has this priority.
    """
    what = f"netfilter hook {hook.name.lower()}, priority {priority}"
    flags = _DEFRAGMENT if defragment else 0
    try:
        return Link.create(
            _NetfilterLinkCreate(program.fileno(), 0, AttachType.NETFILTER, 0, family, hook, priority, flags), what
        )
    except KernelError as refused:
        if refused.errno == errno.EBUSY:
            raise KernelError(f"{what}: another program has this priority; choose another one", errno.EBUSY) from None
        if refused.errno in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
            raise NotSupported(f"{what}: this kernel has no such hook (CONFIG_NETFILTER_BPF_LINK); use tcx or XDP") from None
        raise
