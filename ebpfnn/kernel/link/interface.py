"""Network interfaces: XDP, and the BPF links of traffic control (tcx) and netkit."""

from __future__ import annotations

import errno
import socket
from enum import IntFlag
from pathlib import Path

from ...errors import KernelError, NotSupported, nearest
from ...obj.uapi import AttachType
from ..load.program import Program
from ..syscall import LinkCreate, u32, u64
from .link import Link

_BEFORE = 1 << 3  # BPF_F_BEFORE; without a relative it means before all others


class XdpMode(IntFlag):
    """XDP_FLAGS_*_MODE: where XDP runs; without one the driver if it can, else the generic code."""

    SKB = 1 << 1
    DRIVER = 1 << 2
    HARDWARE = 1 << 3


class _OrderedLinkCreate(LinkCreate):
    _fields_ = (("relative_fd", u32), ("expected_revision", u64))


def attach_xdp(program: Program, interface: str | int, mode: XdpMode | int = 0) -> Link:
    """Attaches to what the interface receives (Linux 5.9). ``interface`` is a name or an index of this network namespace.

    Raises :class:`~ebpfnn.errors.NotSupported` for a driver that cannot, else KernelError: EBUSY where another program is
    attached.
    """
    what = f"XDP on interface '{interface}'"
    attributes = LinkCreate(program.fileno(), interface_index(interface), AttachType.XDP, mode)
    try:
        return Link.create(attributes, what)
    except KernelError as refused:
        if refused.errno == errno.EBUSY:
            fact = "another program is attached (see `ip link show`)"
            remedy = f"close its link, or run `ip link set dev {interface} xdp off`"
            raise KernelError(f"{what}: {fact}; {remedy}", errno.EBUSY) from None
        if refused.errno == errno.EOPNOTSUPP:
            raise NotSupported(
                f"{what}: the driver does not support XDP mode {mode}; use XdpMode.SKB, which every driver has"
            ) from None
        raise


def attach_tcx(program: Program, interface: str | int, *, egress: bool = False, first: bool = False) -> Link:
    """Attaches to received or sent packets, after the programs already there, or ``first`` (Linux 6.6).

    Raises :class:`~ebpfnn.errors.NotSupported` for a kernel without tcx (use clsact there), else KernelError.
    """
    what = f"tcx {'egress' if egress else 'ingress'} on interface '{interface}'"
    return _ordered(program, interface, AttachType.TCX_EGRESS if egress else AttachType.TCX_INGRESS, what, first)


def attach_netkit(program: Program, interface: str | int, *, peer: bool = False, first: bool = False) -> Link:
    """Attaches to a netkit device, given its primary: to what that sends, or its ``peer`` (Linux 6.7).

    Raises as :func:`attach_tcx` does.
    """
    what = f"netkit {'peer' if peer else 'primary'} of interface '{interface}'"
    return _ordered(program, interface, AttachType.NETKIT_PEER if peer else AttachType.NETKIT_PRIMARY, what, first)


def interface_index(interface: str | int) -> int:
    """The index of an interface of this network namespace. Raises :class:`~ebpfnn.errors.KernelError`, ENODEV without one."""
    if isinstance(interface, int):
        return interface
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        names = [name for _, name in socket.if_nameindex()]
        hint = nearest(interface, names) or f"; there are: {', '.join(names)}"
        raise KernelError(f"interface '{interface}' not found in this network namespace{hint}", errno.ENODEV) from None


def network_namespace() -> tuple[int, int]:
    """That of the calling thread: st_dev and st_ino."""
    found = Path("/proc/thread-self/ns/net").stat()
    return found.st_dev, found.st_ino


def _ordered(program: Program, interface: str | int, attach_type: AttachType, what: str, first: bool) -> Link:
    index = interface_index(interface)
    try:
        return Link.create(_OrderedLinkCreate(program.fileno(), index, attach_type, _BEFORE if first else 0), what)
    except KernelError as refused:
        if refused.errno == errno.EEXIST:
            raise KernelError(f"{what}: '{program.name}' is attached there already; one link is enough", errno.EEXIST) from None
        if refused.errno == errno.EINVAL:
            remedy = "needs Linux 6.6 and a tc program; attach_clsact() serves older kernels"
            raise NotSupported(f"{what}: this kernel refuses such a link for '{program.name}'; it {remedy}") from None
        raise
