"""Programs whose target is chosen at load time: a kernel function, the BTF of a tracepoint, or another program.

These are tp_btf, fentry, fexit, fmod_ret and lsm (Linux 5.5 and 5.7), and freplace (Linux 5.6).
"""

from __future__ import annotations

import errno

from ...errors import KernelError
from ...obj.uapi import AttachType
from ..load.program import Program
from ..syscall import Command, LinkCreate, RawTracepointOpen, bpf, u32, u64
from .link import Link


class _TracingLinkCreate(LinkCreate):
    _fields_ = (("target_btf_id", u32), ("cookie", u64))


def attach_tracing(program: Program, attach_type: AttachType | None = None, *, cookie: int = 0) -> Link:
    """Attaches ``program`` to the target that it was loaded for.

    A ``cookie`` needs Linux 5.19, and the same ``attach_type`` as at load time. Raises :class:`~ebpfnn.errors.KernelError`.
    """
    what = f"tracing program '{program.name}'"
    if cookie:
        if attach_type is None:
            raise KernelError(f"{what}: a cookie needs the attach type; give it as attach_type", errno.EINVAL)
        return Link.create(_TracingLinkCreate(program.fileno(), 0, attach_type, cookie=cookie), what)
    try:
        return Link(bpf(Command.RAW_TRACEPOINT_OPEN, RawTracepointOpen(prog_fd=program.fileno()), what), what)
    except KernelError as refused:
        if refused.errno == errno.EINVAL:
            remedy = "give one of section tp_btf, fentry, fexit, fmod_ret, lsm or freplace"
            raise KernelError(f"{what}: it was not loaded for a kernel function; {remedy}", errno.EINVAL) from None
        raise


def attach_freplace(program: Program, target: Program | None = None, target_btf_id: int = 0) -> Link:
    """Replaces a global function of another program by ``program``.

    Without ``target``, it replaces the function that ``program`` was loaded for. ``target_btf_id`` is the id of the function in
    the BTF of ``target`` (Linux 5.10). Raises :class:`~ebpfnn.errors.KernelError`.
    """
    if target is None:
        return attach_tracing(program)
    what = f"replacement of a function of '{target.name}' by '{program.name}'"
    return Link.create(_TracingLinkCreate(program.fileno(), target.fileno(), 0, target_btf_id=target_btf_id), what)
