"""Kprobes: attach to almost any instruction of the kernel, and to returns from its functions."""

from __future__ import annotations

import ctypes
import errno
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from ...errors import KernelError, NotSupported, nearest
from ...obj.uapi import AttachType
from .. import features
from ..load.program import Program
from ..syscall import KprobeMultiLinkCreate, u64
from .link import Link
from .pmu import attach_probe, unit_type
from .probe_event import attach_probe_event
from .tracefiles import traceable_functions

_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN


def attach_kprobe(program: Program, function: str, *, offset: int = 0, cookie: int = 0) -> Link:
    """Attaches to the instruction ``offset`` bytes after the start of a kernel function. The entry is at offset 0.

    Raises :class:`~ebpfnn.errors.NotSupported` if the kernel has no kprobes, else KernelError.
    """
    return _attach(program, function, offset, returns=False, cookie=cookie)


def attach_kretprobe(program: Program, function: str, *, cookie: int = 0) -> Link:
    """Attaches to every return from a kernel function. Raises as :func:`attach_kprobe` does."""
    return _attach(program, function, 0, returns=True, cookie=cookie)


def attach_kprobe_multi(
    program: Program, functions: str | Sequence[str], *, returns: bool = False, session: bool = False
) -> Link:
    """Attaches to many functions at once (Linux 5.18). ``functions`` are names, or one pattern such as ``vfs_*``.

    The section of the program is ``kprobe.multi``. With ``session`` it is ``kprobe.session``, and the program runs at the entry
    of a function and at its return (Linux 6.10). If several functions have the same name, the kernel probes the first one, and
    a :class:`RuntimeWarning` is issued.

    Raises :class:`~ebpfnn.errors.NotSupported` if the kernel does not support this, else KernelError, also if no function
    matches the pattern.
    """
    if returns and session:
        raise KernelError("kprobes: a session includes returns; give either returns or session", errno.EINVAL)
    names = _matching(functions) if isinstance(functions, str) else list(dict.fromkeys(functions))
    if not names:
        raise KernelError("kprobes: no function is named; name at least one", errno.EINVAL)
    what = f"kprobes on {names[0]} and {len(names) - 1} others" if len(names) > 1 else f"kprobe on {names[0]}"
    texts = [ctypes.create_string_buffer(name.encode()) for name in names]
    symbols = (u64 * len(texts))(*map(ctypes.addressof, texts))
    attach_type = AttachType.TRACE_KPROBE_SESSION if session else AttachType.TRACE_KPROBE_MULTI
    attributes = KprobeMultiLinkCreate(
        program.fileno(), 0, attach_type, 0, _RETURN if returns else 0, len(names), ctypes.addressof(symbols)
    )
    _tell_ambiguous(what, names)
    try:
        return Link.create(attributes, what)
    except KernelError as refused:
        if refused.errno in (errno.EOPNOTSUPP, errno.EINVAL) and not features.has_multi_kprobes(attach_type):
            lack = "sessions of multi-kprobes (Linux 6.10" if session else "multi-kprobes (Linux 5.18"
            raise NotSupported(f"{what}: this kernel has no {lack} with CONFIG_FPROBE); use kprobes or tracepoints") from None
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
        if refused.errno == errno.EADDRNOTAVAIL:  # Linux 6.7, commit b022f0c7e404
            fact = "the kernel has several functions with this name"
            raise KernelError(f"{what}: {fact}; probe one that calls it, or a tracepoint", refused.errno) from None
        known = set(traceable_functions()) if refused.errno in (errno.ENOENT, errno.EINVAL) else set()
        if known and function not in known:
            raise _not_found(what, [function], refused.errno) from None
        raise


def _not_found(what: str, names: list[str], code: int) -> KernelError:
    known = set(traceable_functions())
    missing = next((name for name in names if name not in known), names[0])
    hint = nearest(missing, known) or "; /proc/kallsyms lists its functions, some of which the compiler inlined or renamed"
    return KernelError(f"{what}: the kernel has no function '{missing}' to probe{hint}", code)


def _tell_ambiguous(what: str, names: Collection[str]) -> None:
    wanted = set(names)
    times = Counter(name for name in traceable_functions() if name in wanted)
    several = sorted(name for name, number in times.items() if number > 1)
    if several:
        rest = f" and {len(several) - 1} others" if len(several) > 1 else ""
        fact = f"the kernel has several functions '{several[0]}'{rest} and probes the first of each name"
        warnings.warn(f"{what}: {fact}; /proc/kallsyms lists them", RuntimeWarning, stacklevel=3)


def _matching(pattern: str) -> list[str]:
    found = list(dict.fromkeys(name for name in traceable_functions() if fnmatchcase(name, pattern)))
    if not found:
        raise KernelError(
            f"kprobes on '{pattern}': no traceable function matches; tracefs/available_filter_functions lists them"
        )
    return found
