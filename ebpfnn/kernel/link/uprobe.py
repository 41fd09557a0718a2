"""Uprobes: attach to instructions of programs and libraries, in every process that runs them."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from ...errors import KernelError, NotSupported
from ...obj.uapi import AttachType
from .. import features
from ..load.program import Program
from ..syscall import UprobeMultiLinkCreate, u64
from .link import Link
from .pmu import attach_probe, unit_type
from .probe_event import attach_probe_event
from .symbols import function_offset

_RETURN = 1  # BPF_F_UPROBE_MULTI_RETURN


def attach_uprobe(
    program: Program, path: Path | str, function: str, *, offset: int = 0, pid: int = -1, cookie: int = 0, counter: int = 0
) -> Link:
    """Attaches ``offset`` bytes after the start of ``function`` in the file.

    If ``function`` is empty, ``offset`` is a file offset. ``pid`` is the process to watch (-1: all processes). ``counter`` is
    the file offset of a USDT semaphore.

    Raises :class:`~ebpfnn.errors.NotSupported` if the kernel has no uprobes, else KernelError.
    """
    return _attach(program, Path(path), function, offset, returns=False, pid=pid, cookie=cookie, counter=counter)


def attach_uretprobe(program: Program, path: Path | str, function: str, *, pid: int = -1, cookie: int = 0) -> Link:
    """Attaches to every return from ``function``. Raises as :func:`attach_uprobe` does."""
    return _attach(program, Path(path), function, 0, returns=True, pid=pid, cookie=cookie, counter=0)


def attach_uprobe_multi(
    program: Program,
    path: Path | str,
    functions: Sequence[str],
    *,
    returns: bool = False,
    pid: int = 0,
    session: bool = False,
) -> Link:
    """Attaches to many functions of a file at once (Linux 6.6). ``pid`` is the process to watch (0: all processes).

    The section of the program is ``uprobe.multi``. With ``session`` it is ``uprobe.session``, and the program runs at the entry
    of a function and at its return (Linux 6.13). Raises :class:`~ebpfnn.errors.NotSupported` if the kernel does not support
    this, else KernelError.
    """
    if returns and session:
        raise KernelError(f"uprobes on '{path}': a session includes returns; give either returns or session", errno.EINVAL)
    functions = list(dict.fromkeys(functions))
    if not functions:
        raise KernelError(f"uprobes on '{path}': no function is named; name at least one", errno.EINVAL)
    what = f"uprobes on {len(functions)} functions of '{path}'"
    text = ctypes.create_string_buffer(os.fsencode(path))
    offsets = (u64 * len(functions))(*(function_offset(Path(path), function) for function in functions))
    attach_type = AttachType.TRACE_UPROBE_SESSION if session else AttachType.TRACE_UPROBE_MULTI
    attributes = UprobeMultiLinkCreate(
        program.fileno(),
        0,
        attach_type,
        path=ctypes.addressof(text),
        offsets=ctypes.addressof(offsets),
        count=len(functions),
        multi_flags=_RETURN if returns else 0,
        pid=pid,
    )
    try:
        return Link.create(attributes, what)
    except KernelError as refused:
        if refused.errno in (errno.EOPNOTSUPP, errno.EINVAL) and not features.has_multi_uprobes(attach_type):
            lack = "sessions of multi-uprobes (Linux 6.13 has)" if session else "multi-uprobes (Linux 6.6 has)"
            raise NotSupported(f"{what}: this kernel has no {lack}; attach them one by one") from None
        raise


def _attach(
    program: Program, path: Path, function: str, offset: int, *, returns: bool, pid: int, cookie: int, counter: int
) -> Link:
    what = f"{'uretprobe' if returns else 'uprobe'} '{path}:{function or hex(offset)}'"
    place = offset + (function_offset(path, function) if function else 0)
    number = unit_type("uprobe")
    if number is not None:
        name = os.fsencode(path)
        return attach_probe(program, number, name, place, what, returns=returns, pid=pid, cookie=cookie, counter=counter)
    if pid != -1 or cookie or counter:
        raise NotSupported(f"{what}: one process, a cookie or a counter need Linux 4.17 or later; watch every process")
    return attach_probe_event(program, "uprobe", f"{path}:{place:#x}", returns=returns, what=what)
