"""What the kernels that ``make test-vm`` boots can do, so that a test that skips there for want of it fails.

``EBPFNN_KERNEL`` names the kernel, as tools/vm/run.py does. The features are those of Debian's cloud kernels on x86-64.
"""

from __future__ import annotations

import os
import re

import pytest

from ebpfnn.errors import Error

NEVER = "999"
"""Of a feature that none of these kernels has, or is configured with."""

NO_TORCH = "PyTorch is left out (TORCH=no)"

# The words by which a skip's reason names a feature, and the first kernel that has it.
FEATURES = (
    ("needs root|bpf\\(2\\) is closed to root|takes no socket filters", "0"),
    ("is not installed", "0"),
    ("no BPF file system|tracefs is not mounted|no cgroup2 file system", "0"),
    ("no kprobes|CONFIG_UPROBE_EVENTS", "0"),
    ("this kernel has kprobes", NEVER),  # for tests of what is said where there are none
    ("lets nobody load programs|this kernel refuses all .* programs", "0"),
    ("CONFIG_DEBUG_INFO_BTF", "0"),
    ("this machine does not support it", NEVER),  # an emulated processor has no counters
    ("no links for perf events|is no link on this kernel", "5.15"),
    ("no programs of section syscall|no programs of type SYSCALL", "5.14"),
    ("has no helper bpf_get_ns_current_pid_tgid for this type", "6.10"),
    ("kernel variable '.*' is not in this kernel's BTF", "6.1"),
    ("kernel function 'bpf_task_from_pid' is not in this kernel's BTF", "6.2"),
    ("map 'bloom': BPF_MAP_CREATE refused with EINVAL", "5.16"),
    (r"may_be_in\[xdp\.frags.* EINVAL", "5.18"),
    (r"may_be_in\[uprobe\.s.* (EINVAL|[Ss]leepable)", "6.0"),
    ("older than helper 158", "5.11"),  # bpf_get_current_task_btf
    ("older than helper 174", "5.15"),  # bpf_get_attach_cookie
    ("CONFIG_FPROBE", NEVER),
    ("does not know every kind of BTF", "6.0"),
    ("a single task needs Linux 6.1", "6.1"),
    ("struct_ops links need Linux 6.4", "6.4"),
    ("no programs of type NETFILTER", "6.4"),
    ("tcx .* it needs Linux 6.6", "6.6"),
    ("no multi-uprobes", "6.6"),
    ("bpf is not among this kernel's active security modules|refuses LSM programs|has no LSM programs", "0"),
)


def promised() -> str | None:
    """The kernel that these tests were promised, None where they run on whatever there is."""
    return os.environ.get("EBPFNN_KERNEL")


def broken(kernel: str, reason: str) -> str | None:
    """Why a test may not skip on ``kernel`` for ``reason``, None where it may."""
    firsts = [first for words, first in FEATURES if re.search(words, reason)]
    if not firsts:
        return f"skipped for what tests/support/promises.py does not list: {reason}"
    if any(_numbers(kernel) >= _numbers(first) for first in firsts):
        return f"skipped for want of what Linux {kernel} has, by tests/support/promises.py: {reason}"
    return None


def check_kernel() -> None:
    """Raises :class:`pytest.UsageError` on another kernel than the one that was promised."""
    kernel, release = promised(), os.uname().release
    if kernel and not release.startswith(f"{kernel}."):
        raise pytest.UsageError(
            f"EBPFNN_KERNEL is {kernel}, but Linux {release} runs; unset it, or use tools/vm/run.py {kernel}"
        )


def hold(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turns a skip that breaks the promise into a failure."""
    kernel = promised()
    if not kernel or not report.skipped or hasattr(report, "wasxfail"):
        return
    fault = broken(kernel, str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr))
    if fault:
        report.outcome, report.longrepr = "failed", fault


def excuse(report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
    """Turns a failure for want of what the kernel is known to lack into a skip: the error that says so is the right answer."""
    kernel, raised = promised(), call.excinfo.value if call.excinfo else None
    if report.failed and lacks_torch(raised):
        report.outcome, report.longrepr = "skipped", (str(report.fspath), report.location[1] or 0, f"Skipped: {NO_TORCH}")
    if kernel and report.failed and isinstance(raised, Error) and broken(kernel, f"{report.nodeid}: {raised}") is None:
        report.outcome, report.longrepr = "skipped", (str(report.fspath), report.location[1] or 0, f"Skipped: {raised}")


def lacks_torch(raised: BaseException | None) -> bool:
    """Whether PyTorch's absence is at the bottom of it, where ``EBPFNN_TORCH`` is ``no``, as ``make test TORCH=no`` sets it."""
    while raised is not None and os.environ.get("EBPFNN_TORCH") == "no":
        if isinstance(raised, ModuleNotFoundError) and str(raised.name).partition(".")[0] in ("torch", "torchvision"):
            return True
        raised = raised.__cause__
    return False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
