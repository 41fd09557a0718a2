"""Network namespaces: socket lookup and flow dissection."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import KernelError
from ...obj.uapi import AttachType
from ..fd import Descriptor
from ..load.program import Program
from ..syscall import LinkCreate
from .link import Link

_CURRENT = Path("/proc/thread-self/ns/net")


def attach_sk_lookup(program: Program, namespace: Path = _CURRENT) -> Link:
    """Lets ``program`` choose the socket for incoming connections (Linux 5.9).

    ``namespace`` is a file such as ``/run/netns/NAME``; it is the caller's by default. Raises KernelError.
    """
    return _attach(program, namespace, AttachType.SK_LOOKUP, "socket lookup")


def attach_flow_dissector(program: Program, namespace: Path = _CURRENT) -> Link:
    """Lets ``program`` dissect packets for the whole namespace (a link since Linux 5.8). See :func:`attach_sk_lookup`."""
    return _attach(program, namespace, AttachType.FLOW_DISSECTOR, "flow dissector")


def _attach(program: Program, namespace: Path, attach_type: AttachType, noun: str) -> Link:
    what = f"{noun} in network namespace '{namespace}'"
    try:
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as fault:
        raise KernelError(f"{what}: {fault.strerror}; see `ip netns list`", fault.errno or 0) from None
    with Descriptor(fd, what) as held:
        return Link.create(LinkCreate(program.fileno(), held.fileno(), attach_type), what)
