"""Kprobes: almost any instruction of the kernel, and returns from its functions."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Sequence
from fnmatch import fnmatchcase

from ..errors import KernelError, NotSupported
from ..obj.uapi import AttachType
from .link import Link
from .pmu import attach_probe, unit_type
from .probe_event import attach_probe_event
from .program import Program
from .syscall import LinkCreate, u32, u64
from .tracefiles import nearest, traceable_functions

_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN


class _MultiLinkCreate(LinkCreate):
    _fields_ = (("multi_flags", u32), ("count", u32), ("symbols", u64), ("addresses", u64), ("cookies", u64))


def attach_kprobe(program: Program, function: str, *, offset: int = 0, cookie: int = 0) -> Link:
    """Attaches to the instruction ``offset`` bytes into a kernel function: its entry where that is 0.

    Raises :class:`~ebpfnn.errors.NotSupported` for a kernel without kprobes, else KernelError.
    """
    return _attach(program, function, offset, returns=False, cookie=cookie)


def attach_kretprobe(program: Program, function: str, *, cookie: int = 0) -> Link:
    """Attaches to every return from a kernel function. Raises as :func:`attach_kprobe` does."""
    return _attach(program, function, 0, returns=True, cookie=cookie)


def attach_kprobe_multi(program: Program, functions: str | Sequence[str], *, returns: bool = False) -> Link:
    """Attaches to many functions at once (Linux 5.18): those named, or those that match a pattern such as ``vfs_*``.

    The program's section is ``kprobe.multi``. Raises :class:`~ebpfnn.errors.NotSupported` for a kernel that cannot, else
    KernelError, as for a pattern that nothing matches.
    """
    names = _matching(functions) if isinstance(functions, str) else list(functions)
    what = f"kprobes on {names[0]} and {len(names) - 1} others" if len(names) > 1 else f"kprobe on {names[0]}"
    texts = [ctypes.create_string_buffer(name.encode()) for name in names]
    symbols = (u64 * len(texts))(*map(ctypes.addressof, texts))
    attributes = _MultiLinkCreate(
        program.fileno(), 0, AttachType.TRACE_KPROBE_MULTI, 0, _RETURN if returns else 0, len(names), ctypes.addressof(symbols)
    )
    try:
        return Link.create(attributes, what)
    except KernelError as refused:
        if refused.errno == errno.EOPNOTSUPP:
            raise NotSupported(
                f"{what}: this kernel has no multi-kprobes (CONFIG_FPROBE); use kprobes or tracepoints"
            ) from None
        if refused.errno in (errno.ESRCH, errno.ENOENT):
            raise _not_found(what, names, refused.errno) from None
        raise


def _attach(program: Program, function: str, offset: int, *, returns: bool, cookie: int) -> Link:
    what = f"{'kretprobe' if returns else 'kprobe'} '{function}'"
    number = unit_type("kprobe")
    try:
        if number is not None:
            return attach_probe(program, number, function.encode(), offset, what, returns=returns, pid=-1, cookie=cookie)
        place = f"{function}+{offset}" if offset else function
        return attach_probe_event(program, "kprobe", place, returns=returns, what=what)
    except KernelError as refused:
        if refused.errno in (errno.ENOENT, errno.EINVAL) and function not in (known := traceable_functions()) and known:
            raise _not_found(what, [function], refused.errno) from None
        raise


def _not_found(what: str, names: list[str], code: int) -> KernelError:
    known = traceable_functions()
    missing = next((name for name in names if name not in known), names[0])
    hint = nearest(missing, known) or "; /proc/kallsyms lists its functions, some of which the compiler inlined or renamed"
    return KernelError(f"{what}: the kernel has no function '{missing}' to probe{hint}", code)


def _matching(pattern: str) -> list[str]:
    found = [name for name in traceable_functions() if fnmatchcase(name, pattern)]
    if not found:
        raise KernelError(
            f"kprobes on '{pattern}': no traceable function matches; tracefs/available_filter_functions lists them"
        )
    return found
