"""Where the kernel takes no spin locks: said before the verifier says it of code that the user has not written."""

from __future__ import annotations

from ..errors import NotSupported
from ..events.bound import Bound
from ..obj import ObjectSpec, ProgramType

# check_map_prog_compatibility and is_tracing_prog_type (kernel/bpf/verifier.c), the same in Linux 5.10, 6.1 and 6.18.
# In Linux 5.10, fentry and fexit have no bpf_spin_lock either (bpf_tracing_func_proto). LSM has it, but may be interrupted.
_LOCKLESS = frozenset(
    (
        ProgramType.KPROBE,
        ProgramType.TRACEPOINT,
        ProgramType.RAW_TRACEPOINT,
        ProgramType.PERF_EVENT,
        ProgramType.SOCKET_FILTER,
        ProgramType.TRACING,
        ProgramType.LSM,
    )
)


def check_locks(bound: Bound, index: int, shell: ObjectSpec) -> None:
    """Raises :class:`NotSupported` if states are locked, and the program of event ``index``, in ``shell``, takes none."""
    loaded = [program.type for program in shell.programs.values() if program.autoload]
    if bound.spec.state.locked and _LOCKLESS.intersection(loaded):
        trigger = bound.spec.events[index].trigger
        fact = f"spec '{bound.spec.name}': trigger '{trigger}': the kernel takes no locks in its programs"
        raise NotSupported(f"{fact}; leave out 'locked', or use xdp, tc or cgroup_skb")
