"""What doctor makes of machines that were built for it, file by file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger

from ebpfnn import doctor
from ebpfnn.doctor import Check, State
from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.instance import place
from ebpfnn.kernel import privilege
from ebpfnn.kernel.link import tracefiles
from ebpfnn.plugin import Plugins, Trigger, make_manager

HEALTHY = {
    "proc/sys/kernel/unprivileged_bpf_disabled": "2\n",
    "proc/self/status": "Name:\tx\nCapEff:\t000000c000201000\n",
    "sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
    "sys/kernel/btf/vmlinux": "",
    "proc/sys/net/core/bpf_jit_enable": "1\n",
}


CHANGE = "+bpf,+perfmon"
AS_BOTH = (
    "run as root (sudo), or with CAP_BPF and CAP_PERFMON: sudo setpriv --reuid=1000 --regid=100 --init-groups "
    f'--inh-caps={CHANGE} --ambient-caps={CHANGE} "$(command -v ebpfnn)" ...'
)


def machine(root: Path, **changed: str | None) -> dict[str, Check]:
    """The checks of a healthy machine, less what is changed: files by their last name, None for one that is not there."""
    for path, text in HEALTHY.items():
        text_now = changed.get(Path(path).name, text)
        if text_now is not None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text_now)
    return {check.name: check for check in doctor.machine(Plugins(make_manager()), root)}


def test_a_healthy_machine_has_nothing_to_mend(tmp_path: Path) -> None:
    checks = machine(tmp_path)
    for name in ("BPF objects", "tracefs", "bpffs"):
        del checks[name]
    assert {check.state for check in checks.values()} == {State.OK}
    assert not any(check.remedy for check in checks.values())
    assert checks["capabilities"].fact == "holds CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF"


@pytest.mark.parametrize(
    ("file", "text", "name", "state", "remedy"),
    [
        ("unprivileged_bpf_disabled", None, "bpf(2)", State.FAIL, "boot a kernel with CONFIG_BPF_SYSCALL=y"),
        ("status", "CapEff:\t0\n", "capabilities", State.FAIL, AS_BOTH),
        ("status", "CapEff:\t0000008000000000\n", "capabilities", State.FAIL, AS_BOTH),
        ("status", None, "capabilities", State.WARN, "mount -t proc proc /proc"),
        ("lockdown", "none integrity [confidentiality]\n", "lockdown", State.WARN, "boot with lockdown=integrity"),
        ("vmlinux", None, "BTF", State.WARN, ""),
        ("bpf_jit_enable", "0\n", "JIT", State.WARN, "sysctl net.core.bpf_jit_enable=1"),
        ("bpf_jit_enable", None, "JIT", State.WARN, "boot a kernel with CONFIG_BPF_JIT=y"),
    ],
)
def test_what_is_missing_is_told_with_what_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str | None, name: str, state: State, remedy: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.getegid", lambda: 100)
    check = machine(tmp_path, **{file: text})[name]
    assert (check.state, check.remedy) == (state, remedy)


def test_tracefs_is_where_the_loader_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracefiles, "TRACEFS", (tmp_path / "tracing", tmp_path / "debug"))
    check = doctor.tracefs()
    assert (check.state, check.fact) == (State.WARN, "tracefs is not mounted: no tracepoints or probes")
    assert check.remedy == f"mount -t tracefs tracefs {tmp_path / 'tracing'}"
    (tmp_path / "debug" / "events").mkdir(parents=True)
    assert doctor.tracefs() == Check("tracefs", State.OK, str(tmp_path / "debug"))


def test_bpffs_is_where_the_loader_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EBPFNN_BPFFS", raising=False)
    monkeypatch.setattr(place, "BPFFS", tmp_path)
    assert doctor.bpffs().remedy == f"mount -t bpf bpf {tmp_path}"
    monkeypatch.setattr(place, "is_bpffs", lambda path: path == tmp_path)
    assert doctor.bpffs() == Check("bpffs", State.OK, str(tmp_path))


@pytest.mark.parametrize(
    ("name", "mounted", "fact", "remedy"),
    [
        ("file", False, "is no directory", "unset EBPFNN_BPFFS, or name a directory on a BPF file system"),
        ("", False, "is not on a BPF file system", "unset EBPFNN_BPFFS, or mount -t bpf bpf {path}"),
        ("absent", False, "is not there", "unset EBPFNN_BPFFS, or mkdir {path} && mount -t bpf bpf {path}"),
        ("absent", True, "is not there", "unset EBPFNN_BPFFS, or mkdir {path}"),
        ("", True, None, ""),
    ],
)
def test_bpffs_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mounted: bool, fact: str | None, remedy: str
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / name
    monkeypatch.setenv("EBPFNN_BPFFS", str(path))
    monkeypatch.setattr(place, "is_bpffs", lambda _path: mounted)
    told = str(path) if fact is None else f"EBPFNN_BPFFS={path} {fact}"
    assert (doctor.bpffs().fact, doctor.bpffs().remedy) == (told, remedy.format(path=path))


def test_a_bpffs_that_is_closed_to_this_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBPFNN_BPFFS", str(tmp_path))
    monkeypatch.setattr(place, "is_bpffs", lambda _path: True)
    monkeypatch.setattr("os.access", lambda _path, mode: mode == os.X_OK)
    check = doctor.bpffs()
    fact = f"'{tmp_path}' is not writable by this user, so no instance can be loaded there"
    assert (check.state, check.fact) == (State.WARN, fact)
    assert check.remedy.endswith(f"chgrp GROUP {tmp_path} && chmod g+rwx {tmp_path}")
    monkeypatch.setattr("os.access", lambda _path, mode: False)
    assert doctor.bpffs().fact == f"'{tmp_path}' is closed to this user"


@pytest.mark.parametrize("supported", ["BPF_PROG_LOAD refused", None])  # None: what was not attached ran without them
@pytest.mark.parametrize(
    ("uid", "missing", "remedy"),
    [
        (1000, ["CAP_PERFMON"], AS_BOTH),
        (0, ["CAP_BPF", "CAP_PERFMON"], "grant them to root: in a container, use --cap-add BPF --cap-add PERFMON"),
    ],
)
def test_a_trigger_that_lacks_capabilities_is_told_which(
    monkeypatch: pytest.MonkeyPatch, uid: int, missing: list[str], remedy: str, supported: str | None
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setattr("os.getegid", lambda: 100)
    monkeypatch.setattr(privilege, "lacking", lambda needed: missing)
    monkeypatch.setattr(RunTrigger, "supported", lambda self: supported)
    (check,) = doctor.triggers([RunTrigger()], lambda trigger: None)
    assert check == Check("trigger run", State.UNAVAILABLE, f"{', '.join(missing)} missing; needs CAP_BPF, CAP_PERFMON", remedy)


def test_a_trigger_that_needs_tracefs_too_is_told_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(privilege, "lacking", lambda needed: ["CAP_PERFMON"])
    monkeypatch.setattr(tracefiles, "TRACEFS", (tmp_path / "tracing",))
    (check,) = doctor.triggers([TracepointTrigger()])
    assert "--ambient-caps=+bpf,+perfmon" in check.remedy
    assert check.remedy.endswith(f"; for tracefs, mount -t tracefs tracefs {tmp_path / 'tracing'}")


def test_bpffs_without_proc_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: Path) -> bool:
        raise KernelError(f"{path} cannot be read")

    monkeypatch.setattr(place, "is_bpffs", absent)
    assert (doctor.bpffs().state, doctor.bpffs().remedy) == (State.WARN, "mount -t proc proc /proc")


def test_the_capabilities_of_linux_5_8_are_enough(tmp_path: Path) -> None:
    assert machine(tmp_path, status="CapEff:\t000000c000000000\n")["capabilities"].state is State.OK


def test_objects_that_are_not_built_are_told_with_the_command_that_builds_them(tmp_path: Path) -> None:
    check = doctor.objects(tmp_path)
    assert (check.state, check.remedy) == (State.FAIL, "make bpf")
    (tmp_path / "bpf").mkdir()
    (tmp_path / "bpf" / "run.bpf.o").touch()
    assert doctor.objects(tmp_path) == Check("BPF objects", State.OK, "run")


def test_triggers_that_work_are_counted() -> None:
    works, lacks = Check("trigger run", State.OK, ""), Check("trigger tracepoint", State.UNAVAILABLE, "")
    assert doctor.ready([works, lacks, lacks, works, works]) == (3, 5)
    assert doctor.ready([lacks, Check("kernel", State.OK, "")]) == (0, 1)


def test_root_is_not_told_to_become_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert "--cap-add BPF --cap-add PERFMON" in machine(tmp_path, status="CapEff:\t0\n")["capabilities"].remedy


def test_a_trigger_that_claims_to_work_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_trigger: Trigger) -> None:
        raise NotSupported("no, it does not; use another")

    monkeypatch.setattr(RunTrigger, "supported", lambda self: None)
    monkeypatch.setattr(privilege, "lacking", lambda needed: [])
    (check,) = doctor.triggers([RunTrigger()], run)
    assert (check.state, check.fact) == (State.UNAVAILABLE, "no, it does not; use another")
    (check,) = doctor.triggers([RunTrigger()], lambda trigger: None)
    assert (check.state, check.fact) == (State.OK, "ran a network; needs CAP_BPF, CAP_PERFMON")
