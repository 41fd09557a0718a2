"""Security hooks (LSM): whether programs at them run here. They are attached by :func:`ebpfnn.kernel.attach_tracing`."""

from __future__ import annotations

import os
from functools import cache

from ...obj import MapSpec, ObjectSpec, ProgramSpec
from ...obj.asm import R0, R1, Assembler
from ...obj.uapi import MMAPABLE, AttachType, MapType, ProgramType
from ..features import has_program_type, is_closed_to_all
from ..load.object import Object
from .tracing import attach_tracing

_HOOK, _RAN = "task_getpgid", "ran"  # a hook that a process reaches by asking for its own process group


@cache
def lacks_lsm() -> str | None:
    """Returns None if programs at security hooks run (CONFIG_BPF_LSM, Linux 5.7), else the fact and the remedy, on one line.

    A kernel attaches such programs also where bpf is none of its security modules, and never runs them: so one is tried.

    Raises :class:`~ebpfnn.errors.PermissionDenied` without privileges, and KernelError if the kernel refuses it.
    """
    remedy = "use trigger tracepoint or raw_tracepoint, and action signal"
    if is_closed_to_all(ProgramType.LSM):
        return f"this kernel refuses LSM programs (BPF_PROG_TYPE_LSM) with EPERM, whatever the capabilities; {remedy}"
    if not has_program_type(ProgramType.LSM):
        return f"this kernel has no LSM programs (CONFIG_BPF_LSM, Linux 5.7, and CONFIG_DEBUG_INFO_BTF); {remedy}"
    if _runs():
        return None
    fact = "bpf is not among this kernel's active security modules (/sys/kernel/security/lsm), so it never runs LSM programs"
    return f"{fact}; boot it with that list and bpf, as in lsm=capability,bpf, or {remedy}"


def _runs() -> bool:
    """Whether a program at a hook runs that this process reaches."""
    spec = ObjectSpec("probe", license="GPL")
    emit = Assembler()
    emit.map_value(R1, _RAN)
    emit.store("u64", R1, 0, 1)
    emit.mov(R0, 0)
    emit.exit()
    spec.functions["probe"] = emit.function("probe")
    spec.programs["probe"] = ProgramSpec(
        "probe", "lsm", ProgramType.LSM, expected_attach_type=AttachType.LSM_MAC, attach_to=_HOOK
    )
    spec.maps[_RAN] = MapSpec(_RAN, MapType.ARRAY, 4, 8, 1, flags=MMAPABLE)
    with Object.load(spec) as loaded, attach_tracing(loaded.programs["probe"]):
        os.getpgid(os.getpid())
        return loaded.maps[_RAN].lookup(bytes(4)) != bytes(8)
