"""Explains EPERM: checks capabilities, lockdown and RLIMIT_MEMLOCK, each by itself."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from pathlib import Path

CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}
"""Bit numbers of include/uapi/linux/capability.h; CAP_PERFMON and CAP_BPF are of Linux 5.8."""
_CAP_SYS_ADMIN = 21  # which stands for both, and did so alone before 5.8
_CAP_SYS_RESOURCE = 24  # which may raise limits
_ROOT = Path("/")
_LOADING = ("CAP_BPF", "CAP_PERFMON")
_PARANOIA = 2  # the highest that Documentation/admin-guide/sysctl/kernel.rst knows


def remedy(root: Path = _ROOT, *, charged: bool = True, needed: Iterable[str] = _LOADING) -> str:
    """The remedy for a refusal, for the first reason that applies; ``root`` is the file system to read.

    ``charged`` says whether kernels before 5.11 charge the operation to RLIMIT_MEMLOCK; ``needed`` are the capabilities that it
    needs.
    """
    known = lack(root, needed)
    if known:
        return known
    mode = _read(root / "sys/kernel/security/lockdown").partition("[")[2].partition("]")[0]
    if mode in ("integrity", "confidentiality"):
        return f"kernel lockdown is in {mode} mode, which closes parts of BPF even to root; boot without it (lockdown=none)"
    told = f"{_not_enough(root)}: a seccomp filter or a security module may forbid it"
    return told + _limit(root) if charged else told


def lack(root: Path = _ROOT, needed: Iterable[str] = _LOADING) -> str:
    """How to get the capabilities of ``needed`` that this process lacks, "" if it has all."""
    without = lacking(needed, root)
    if not without:
        return ""
    if os.geteuid() != 0:
        held = [name for name in needed if name not in without]
        has = f" (it has {' and '.join(held)})" if held else ""
        return f"run as root (sudo), or grant {' and '.join(without)}{has}"
    return f"root is without {' and '.join(without)}, as usual in containers; grant them (--cap-add) or CAP_SYS_ADMIN"


def lacking(needed: Iterable[str], root: Path = _ROOT) -> list[str]:
    """The capabilities of ``needed``, among those in :data:`CAPABILITIES`, that this process lacks.

    None if /proc cannot be read.
    """
    effective, known = _effective(root), [name for name in needed if name in CAPABILITIES]
    return [name for name in known if not effective >> CAPABILITIES[name] & 1 and not _is_stood_for(name, effective)]


def _is_stood_for(name: str, effective: int) -> bool:
    """CAP_SYS_ADMIN includes the two capabilities of Linux 5.8, which were split from it (bpf_capable, perfmon_capable)."""
    return name in _LOADING and bool(effective >> _CAP_SYS_ADMIN & 1)


def _not_enough(root: Path) -> str:
    """The privileges of this process, which were not enough."""
    if os.geteuid() == 0:
        return "root is not enough here"
    of_network = ", and network programs need CAP_NET_ADMIN" if lacking(["CAP_NET_ADMIN"], root) else ""
    return f"CAP_BPF and CAP_PERFMON are not enough here{of_network}"


def closes_perf_events(root: Path = _ROOT) -> bool:
    """Whether CAP_PERFMON is not enough for perf events: so in Debian's kernels if the sysctl is above 2; they boot with 3."""
    level = _read(root / "proc/sys/kernel/perf_event_paranoid").strip()
    return level.isdigit() and int(level) > _PARANOIA and lacking([*_LOADING, "CAP_SYS_ADMIN"], root) == ["CAP_SYS_ADMIN"]


def _limit(root: Path) -> str:
    """RLIMIT_MEMLOCK is a possible reason only if :mod:`.memlock` may not raise it, and only in kernels before 5.11."""
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit == resource.RLIM_INFINITY or _effective(root) >> _CAP_SYS_RESOURCE & 1:
        return ""
    return f", or, in a kernel before 5.11, RLIMIT_MEMLOCK ({limit} bytes): ulimit -l unlimited, or grant CAP_SYS_RESOURCE"


def _effective(root: Path) -> int:
    """The capabilities of this process; all of them if /proc cannot be read."""
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
