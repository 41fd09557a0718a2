"""What mends a refusal: told by the operation and the kernel's number, and never of what cannot be its reason."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ebpfnn.errors import KernelError, PermissionDenied
from ebpfnn.kernel import privilege, remedies
from ebpfnn.kernel.remedies import remedy
from ebpfnn.kernel.syscall import refusal


@pytest.mark.parametrize(
    ("operation", "code", "words"),
    [
        ("BPF_MAP_UPDATE_ELEM", errno.E2BIG, "the map is full"),
        ("BPF_MAP_CREATE", errno.EINVAL, "check type, key and value sizes and flags"),
        ("BPF_MAP_DELETE_ELEM", errno.ENOENT, "the key is not in the map"),
        ("BPF_OBJ_PIN", errno.ENOENT, "the directory is missing"),
        ("BPF_PROG_LOAD", errno.EMFILE, "ulimit -n"),
        ("mmap", errno.EINVAL, "BPF_F_MMAPABLE"),
        ("mmap", 524, "BPF_F_MMAPABLE"),
        ("flock", errno.ENOSYS, "forbids it: allow flock(2)"),
        ("flock", errno.EPERM, "forbids it: allow flock(2)"),
        ("flock", errno.ENOLCK, "no more locks are available"),
        ("write", errno.EROFS, "mount -o remount,rw"),
        ("BPF_MAP_GET_NEXT_ID", errno.ESRCH, ""),
    ],
)
def test_a_refusal_is_told_with_what_mends_it(operation: str, code: int, words: str) -> None:
    assert words in remedy(operation, code)
    told = str(refusal(f"map 'm': {operation}", code))
    assert told.startswith(f"map 'm': {operation} refused with {KernelError.describe(code)}")
    assert told.endswith(f"; {remedy(operation, code)}" if words else ")")


@pytest.mark.parametrize("operation", ["BPF_MAP_UPDATE_ELEM", "BPF_MAP_DELETE_BATCH", "mmap"])
def test_a_frozen_map_is_no_matter_of_privilege(monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    monkeypatch.setattr(privilege, "lack", lambda: "")
    refused = refusal(f"map 'm': {operation}", errno.EPERM)
    assert isinstance(refused, PermissionDenied)
    assert "the map is frozen or read-only to user space" in str(refused)
    assert not any(word in str(refused) for word in ("seccomp", "MEMLOCK"))


@pytest.mark.parametrize(("operation", "charged"), [("BPF_MAP_CREATE", True), ("BPF_LINK_CREATE", False)])
def test_only_what_was_charged_speaks_of_the_limit(monkeypatch: pytest.MonkeyPatch, operation: str, charged: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(privilege, "lacking", lambda needed, root: [])
    monkeypatch.setattr(privilege, "_limit", lambda root: ", or RLIMIT_MEMLOCK")
    monkeypatch.setattr(privilege, "_read", lambda path: "")
    assert ("RLIMIT_MEMLOCK" in remedy(operation, errno.EPERM)) == charged


def test_closed_perf_events_are_told_with_the_sysctl_that_opens_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privilege, "closes_perf_events", lambda: True)
    assert remedy("perf_event_open", errno.EACCES).startswith("sysctl kernel.perf_event_paranoid=2, or grant CAP_SYS_ADMIN")
    assert "perf_event_paranoid" not in remedy("BPF_PROG_LOAD", errno.EPERM)


@pytest.mark.parametrize(
    ("operation", "option", "sysctl", "call"),
    [
        ("perf_event_open", "CONFIG_PERF_EVENTS", "perf_event_paranoid", "perf_event_open(2)"),
        ("BPF_PROG_LOAD", "CONFIG_BPF_SYSCALL", "unprivileged_bpf_disabled", "bpf(2)"),
    ],
)
def test_a_call_that_the_kernel_has_is_hidden_by_a_filter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, operation: str, option: str, sysctl: str, call: str
) -> None:
    """What registers the sysctl has the system call too."""
    monkeypatch.setattr(remedies, "_SYSCTLS", tmp_path)
    assert remedy(operation, errno.ENOSYS) == f"this kernel was built without {option}"
    (tmp_path / sysctl).touch()
    assert f"forbids it: allow {call}" in remedy(operation, errno.ENOSYS)
