"""What EPERM is explained by: capabilities, lockdown and RLIMIT_MEMLOCK, each told apart."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpfnn.kernel.privilege import closes_perf_events, lacking, remedy

NET_ADMIN, SYS_ADMIN, SYS_RESOURCE, PERFMON, BPF = 1 << 12, 1 << 21, 1 << 24, 1 << 38, 1 << 39
EVERYTHING = SYS_ADMIN | SYS_RESOURCE


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A made-up machine and process."""

    def make(uid: int, capabilities: int, lockdown: str = "", limit: int = resource.RLIM_INFINITY) -> Path:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/status").write_text(f"Name:\tx\nCapEff:\t{capabilities:016x}\n")
        if lockdown:
            (tmp_path / "sys/kernel/security").mkdir(parents=True)
            (tmp_path / "sys/kernel/security/lockdown").write_text(lockdown)
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
        return tmp_path

    return make


def test_a_user(machine: Callable[..., Path]) -> None:
    assert remedy(machine(1000, 0)) == "run as root (sudo), or grant CAP_BPF and CAP_PERFMON"


def test_a_user_with_half_of_it(machine: Callable[..., Path]) -> None:
    assert remedy(machine(1000, BPF)) == "run as root (sudo), or grant CAP_PERFMON (it has CAP_BPF)"


def test_a_user_with_all_that_loading_asks_for_is_not_told_to_be_root(machine: Callable[..., Path]) -> None:
    told = remedy(machine(1000, BPF | PERFMON), charged=False)
    assert told.startswith("CAP_BPF and CAP_PERFMON are not enough here, and network programs need CAP_NET_ADMIN: a seccomp")
    assert "root" not in told


def test_a_user_with_what_the_network_asks_for_too(machine: Callable[..., Path]) -> None:
    assert remedy(machine(1000, BPF | PERFMON | NET_ADMIN)).startswith("CAP_BPF and CAP_PERFMON are not enough here: a seccomp")


def test_what_is_everybodys_asks_for_more(machine: Callable[..., Path]) -> None:
    told = remedy(machine(1000, BPF | PERFMON), needed=["CAP_SYS_ADMIN"])
    assert told == "run as root (sudo), or grant CAP_SYS_ADMIN"


def test_cap_sys_admin_stands_for_those_that_were_cut_out_of_it(machine: Callable[..., Path]) -> None:
    names = ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]
    assert lacking(names, machine(1000, SYS_ADMIN)) == ["CAP_NET_ADMIN"]


@pytest.mark.parametrize(("held", "lacking"), [(0, "CAP_BPF and CAP_PERFMON"), (BPF, "CAP_PERFMON"), (PERFMON, "CAP_BPF")])
def test_root_in_a_container(machine: Callable[..., Path], held: int, lacking: str) -> None:
    assert remedy(machine(0, held)).startswith(f"root is without {lacking}, as usual in containers; grant them")


@pytest.mark.parametrize("mode", ["integrity", "confidentiality"])
def test_lockdown(machine: Callable[..., Path], mode: str) -> None:
    told = "none integrity confidentiality\n".replace(mode, f"[{mode}]")
    assert remedy(machine(0, EVERYTHING, told)).startswith(f"kernel lockdown is in {mode} mode")


def test_no_lockdown(machine: Callable[..., Path]) -> None:
    found = remedy(machine(0, EVERYTHING, "[none] integrity confidentiality\n"))
    assert found.startswith("root is not enough here: a seccomp filter or a security module may forbid it")
    assert "RLIMIT_MEMLOCK" not in found


def test_a_limit_that_cannot_be_raised(machine: Callable[..., Path]) -> None:
    assert "RLIMIT_MEMLOCK (65536 bytes): ulimit -l unlimited" in remedy(machine(0, SYS_ADMIN, limit=65536))


def test_a_limit_that_can_be_raised(machine: Callable[..., Path]) -> None:
    assert "RLIMIT_MEMLOCK" not in remedy(machine(0, EVERYTHING, limit=65536))


def test_a_machine_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert remedy(tmp_path).startswith("root is not enough here")


@pytest.mark.parametrize(
    ("level", "capabilities", "closed"),
    [
        ("3", BPF | PERFMON, True),
        ("2", BPF | PERFMON, False),
        ("-1", BPF | PERFMON, False),
        ("3", BPF, False),
        ("3", SYS_ADMIN, False),
        ("", BPF | PERFMON, False),
    ],
)
def test_perf_events_may_be_closed_to_those_who_have_all_that_bpf_asks_for(
    machine: Callable[..., Path], level: str, capabilities: int, closed: bool
) -> None:
    root = machine(1000, capabilities)
    (root / "proc/sys/kernel").mkdir(parents=True)
    (root / "proc/sys/kernel/perf_event_paranoid").write_text(f"{level}\n")
    assert closes_perf_events(root) is closed
