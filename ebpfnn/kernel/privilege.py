"""Why the kernel may have answered EPERM: capabilities, lockdown and RLIMIT_MEMLOCK are told apart by looking at each."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_CAPABILITIES = {"CAP_BPF": 39, "CAP_PERFMON": 38}  # include/uapi/linux/capability.h, Linux 5.8
_CAP_SYS_ADMIN = 21  # which stands for both, and did so alone before 5.8
_CAP_SYS_RESOURCE = 24  # which may raise limits
_ROOT = Path("/")


def remedy(root: Path = _ROOT, *, charged: bool = True) -> str:
    """What to do about a refusal, for the first of the reasons that holds; ``root`` is the file system to look at.

    ``charged`` is whether the operation counted against RLIMIT_MEMLOCK in kernels before 5.11.
    """
    known = lack(root)
    if known:
        return known
    mode = _read(root / "sys/kernel/security/lockdown").partition("[")[2].partition("]")[0]
    if mode in ("integrity", "confidentiality"):
        return f"kernel lockdown is in {mode} mode, which closes parts of BPF even to root; boot without it (lockdown=none)"
    told = "root is not enough here: see `ebpfnn doctor`; a seccomp filter or a security module may stand in the way"
    return told + _limit(root) if charged else told


def lack(root: Path = _ROOT) -> str:
    """How to get the privilege that this process is without, "" for root with every capability that BPF asks for."""
    lacking = _lacking(root)
    if os.geteuid() != 0:
        held = f" (it has {' and '.join(set(_CAPABILITIES) - set(lacking))})" if len(lacking) == 1 else ""
        return f"run as root (sudo), or grant CAP_BPF and CAP_PERFMON{held}"
    if lacking:
        return f"root is without {' and '.join(lacking)}, as containers are started; grant them (--cap-add) or CAP_SYS_ADMIN"
    return ""


def _limit(root: Path) -> str:
    """RLIMIT_MEMLOCK is a reason only where :mod:`.memlock` may not raise it, and then only in kernels before 5.11."""
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit == resource.RLIM_INFINITY or _effective(root) >> _CAP_SYS_RESOURCE & 1:
        return ""
    return f", or, in a kernel before 5.11, RLIMIT_MEMLOCK ({limit} bytes): ulimit -l unlimited, or grant CAP_SYS_RESOURCE"


def _lacking(root: Path) -> list[str]:
    effective = _effective(root)
    return [] if effective >> _CAP_SYS_ADMIN & 1 else [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]


def _effective(root: Path) -> int:
    """The capabilities of this process; all of them where /proc does not tell."""
    line = next((line for line in _read(root / "proc/self/status").splitlines() if line.startswith("CapEff:")), "")
    try:
        return int(line.partition(":")[2], 16)
    except ValueError:
        return -1


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
