"""Targets of the task triggers beside the default ones, and what is said of those that are not there."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from agreement import agree
from ebpfnn_plugins import fentry, perf, uprobe
from networks import random_network, samples

from ebpfnn import abi
from ebpfnn.errors import KernelError, NotSupported, PluginError, SessionError, VerifierError
from ebpfnn.kernel import LinkGroup, LinkType, Object, online_cpus
from ebpfnn.kernel.link.symbols import function_offset
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Plugins, Trigger, why_not
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here
from ebpfnn.session.loading import load

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SMALL = random_network((9, 5, 3), seed=1)
SAMPLES = samples(9, seed=1)


def usable(name: str, options: Mapping[str, str] | None = None) -> Trigger:
    found = Plugins.installed().trigger(name)
    lack = why_not(found)
    if lack:
        pytest.skip(f"trigger '{name}': {lack}")
    return found.with_options(options or {})


def entry(call: str) -> str:
    """The kernel's function of a system call, on the machine that runs the tests."""
    default = usable("kprobe").default_target
    assert default
    return default.replace("getcpu", call)


@pytest.mark.parametrize("target", ["sys_enter", "sys_exit"])
def test_raw_tracepoints(target: str) -> None:
    with Session(SMALL, usable("raw_tracepoint"), target) as session:
        agree(session, SAMPLES)


def test_a_raw_tracepoint_runs_at_the_one_system_call_that_is_meant() -> None:
    getppid = {"x86_64": "110", "aarch64": "173"}[os.uname().machine]
    with Session(SMALL, usable("raw_tracepoint", {"nr": getppid})) as session:
        results = session.loaded.maps[abi.RESULTS]
        with pytest.raises(SessionError, match="the event did not happen in this thread"):
            session.infer(SAMPLES[0])
        for count in range(1, 4):
            os.getppid()
            os.getuid()
            value = results.lookup(bytes(4))
            assert value is not None
            assert int.from_bytes(value[:8], "little") == count


def test_a_raw_tracepoint_runs_at_every_system_call_where_that_is_meant() -> None:
    with Session(SMALL, usable("raw_tracepoint", {"nr": "all"})) as session:
        agree(session, SAMPLES)
        before = session.loaded.maps[abi.RESULTS].lookup(bytes(4))
        after = session.loaded.maps[abi.RESULTS].lookup(bytes(4))
        assert before is not None
        assert after is not None
        assert int.from_bytes(after[:8], "little") > int.from_bytes(before[:8], "little")


@pytest.mark.parametrize("name", ["kprobe", "kretprobe", "fentry", "fexit"])
def test_other_functions_of_the_kernel(name: str) -> None:
    trigger = usable(name)
    with Session(SMALL, trigger, entry("getpgid")) as session:  # fentry knows none that takes no argument, as getppid
        agree(session, SAMPLES)


def test_a_function_of_any_library(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    trigger, path = usable("uprobe"), tmp_path / "probed.so"
    source = "__attribute__((noinline)) int ebpfnn_double(int number) { return number + number; }"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", path, "-"], input=source, text=True, check=True)
    double = ctypes.CDLL(str(path)).ebpfnn_double
    with load(SMALL, trigger, compile_here(SMALL)) as loaded, trigger.attach(loaded, f"{path}:ebpfnn_double"):
        loaded.maps[abi.CALLERS].update(struct.pack("<I", threading.get_native_id()), bytes(4))
        for count in range(1, 4):
            assert double(4) == 8
            value = loaded.maps[abi.RESULTS].lookup(bytes(4))
            assert value is not None
            assert int.from_bytes(value[:8], "little") == count


def test_an_offset_in_a_library() -> None:
    place = function_offset(uprobe.find_binary("libc"), "a64l")
    with Session(SMALL, usable("uprobe"), f"libc:{place:#x}") as session:
        agree(session, SAMPLES)


@pytest.mark.parametrize("target", ["cpu-clock", "cpu-clock:5000", "task-clock:2000", "instructions:100000"])
def test_timers_and_counters(target: str) -> None:
    try:
        session = Session(SMALL, usable("perf"), target)
    except NotSupported as lack:
        pytest.skip(str(lack))
    with session:
        agree(session, SAMPLES)


def test_a_counter_that_this_machine_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotSupported("perf event 0:1: this machine does not support it (ENOENT)")

    monkeypatch.setattr(perf, "attach_perf_event", refuse)
    with pytest.raises(NotSupported, match=r"^perf event 'cycles:5': this machine does not support it; use cpu-clock:1000$"):
        Session(SMALL, usable("perf"), "cycles:5")


def test_a_timer_is_on_every_cpu() -> None:
    trigger = usable("perf")
    with load(SMALL, trigger, compile_here(SMALL)) as loaded, trigger.attach(loaded, None) as attachment:
        assert isinstance(attachment.link, LinkGroup)
        assert len(attachment.link.links) == len(online_cpus())


def test_the_links_of_all_cpus_are_pinned_and_unpinned_together(bpffs: Path) -> None:
    trigger = usable("perf")
    with load(SMALL, trigger, compile_here(SMALL)) as loaded, trigger.attach(loaded, None) as attachment:
        assert attachment.link
        try:
            attachment.link.pin(bpffs / "link")
        except NotSupported:
            assert not (bpffs / "link").exists()
            pytest.skip("this kernel has no links for perf events")
        assert len(list((bpffs / "link").iterdir())) == len(online_cpus())
        assert attachment.link.info().type is LinkType.PERF_EVENT
        with pytest.raises(KernelError, match="mkdir refused with EEXIST"):
            attachment.link.pin(bpffs / "link")


def test_an_event_that_never_comes() -> None:
    trigger = usable("perf")
    with Session(SMALL, trigger, "cpu-migrations:1000000") as session:
        session._attachment.patience = 0.01
        with pytest.raises(SessionError, match="the event did not happen in this thread"):
            session.infer(SAMPLES[0])


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("tracepoint", "syscalls:sys_enter_getcpuu", "not found; did you mean 'sys_enter_getcpu"),
        ("tracepoint", "raw_syscall:sys_enter", "not found; did you mean 'raw_syscalls"),
        ("raw_tracepoint", "sched_swich", "raw tracepoint 'sched_swich' not found; did you mean 'sched_switch"),
        ("kprobe", "vfs_raed", "kprobe 'vfs_raed': the kernel has no function 'vfs_raed' to probe; did you mean "),
        ("kretprobe", "vfs_raed", "kretprobe 'vfs_raed': the kernel has no function 'vfs_raed' to probe; did you mean "),
        ("fentry", "vfs_raed", "fentry 'vfs_raed': the kernel's types have no function with this name; did you mean "),
        ("fexit", "vfs_raed", "fexit 'vfs_raed': the kernel's types have no function with this name; did you mean "),
        ("fentry", "qqqqqqqqqqqq", "in the kernel's types; try its default target, __"),
        ("uprobe", "libc:a64ll", "has no function 'a64ll'; did you mean 'a64l"),
        ("uprobe", "libcc:a64l", "'libcc' is neither a library of this process nor a program in $PATH; did you mean 'libc"),
        ("uprobe", "/dev/null:0x10", "refused with EINVAL (Invalid argument); give an instruction of a program or library"),
        ("uprobe", "/no/such/file:main", "'/no/such/file' cannot be read (No such file or directory)"),
    ],
)
def test_what_is_not_there_is_told_with_what_is_near(name: str, target: str, words: str) -> None:
    with pytest.raises(KernelError) as caught:
        Session(SMALL, usable(name), target)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "target"), [("fentry", "a-b"), ("perf", "clock:1"), ("uprobe", "libc")])
def test_a_wrong_form_is_told_before_anything_is_loaded(name: str, target: str) -> None:
    with pytest.raises(PluginError, match=f"target '{target}"):
        Session(SMALL, usable(name), target)


@pytest.mark.parametrize("name", ["fentry", "fexit"])
def test_a_function_that_cannot_be_traced_is_not_the_networks_fault(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which functions those are differs: with many arguments, variable ones, or structs among them."""

    def refuse(_: ObjectSpec) -> Object:
        raise VerifierError("refused", errno.EINVAL, "The function snprintf with variable args is unsupported.")

    trigger = usable(name)
    monkeypatch.setattr(fentry, "Object", SimpleNamespace(load=refuse))
    with pytest.raises(KernelError) as caught:
        Session(SMALL, trigger)
    assert (
        str(caught.value) == f"{name} '{trigger.default_target}': the kernel does not allow tracing it; give another function"
    )
