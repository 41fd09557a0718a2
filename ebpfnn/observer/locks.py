"""Which programs may have a spec whose states are locked."""

from __future__ import annotations

from ..errors import NotSupported
from ..events.bound import Bound
from ..obj import ObjectSpec, ProgramType

_LOCKLESS = {
    ProgramType.SOCKET_FILTER: "at sockets",
    ProgramType.KPROBE: "at kprobes and uprobes",
    ProgramType.TRACEPOINT: "at tracepoints",
    ProgramType.RAW_TRACEPOINT: "at raw tracepoints",
    ProgramType.PERF_EVENT: "of timers",
}
"""The kernel refuses bpf_spin_lock there (``check_map_prog_compatibility``, Linux 5.10 to 6.18)."""


def check_lock(bound: Bound, shell: ObjectSpec) -> None:
    """Raises :class:`~ebpfnn.errors.NotSupported` if states are locked and a program of ``shell`` may use no locks."""
    for program in shell.programs.values() if bound.spec.state.locked else ():
        if program.type in _LOCKLESS:
            fact = f"the kernel has no locks in programs {_LOCKLESS[ProgramType(program.type)]}"
            raise NotSupported(f"spec '{bound.spec.name}': state.locked: {fact}; leave it out, or use another trigger")
