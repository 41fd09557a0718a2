"""What targets and options of the task triggers may look like, and what is said of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from ebpfnn_plugins import fentry, packets, task, uprobe

from ebpfnn.errors import KernelError, NotSupported, PermissionDenied, PluginError
from ebpfnn.kernel import cgroups, privilege
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Plugins, Trigger


def installed(name: str) -> task.TaskTrigger:
    found = Plugins.installed().trigger(name)
    assert isinstance(found, task.TaskTrigger)
    return found


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("tracepoint", "getcpu", "target 'getcpu' is not CATEGORY:EVENT; give one such as syscalls:sys_enter_getcpu"),
        ("raw_tracepoint", "syscalls:sys_enter", "is not the name of an event; give one such as sys_enter"),
        ("raw_tracepoint", "", None),
        ("kprobe", "vfs read", f"'vfs read' is not the name of a function; give one such as {task.system_call('getcpu')}"),
        ("kretprobe", "vfs_read+8", "is not the name of a function"),
        ("kprobe", "foo.isra.0", None),
        ("fentry", "bpf:vfs_read", "target 'bpf:vfs_read' is not the name of a function; give one such as"),
        ("fexit", "vfs/read", "is not the name of a function"),
        ("lsm", "bpf_lsm/file_open", "is not the name of a security hook; give one such as task_getpgid"),
        ("lsm", "file_open", None),
        ("uprobe", "malloc", "target 'malloc' is not BINARY:SYMBOL; give one such as libc:a64l or /usr/bin/python3:0x1234"),
        ("uprobe", ":malloc", "is not BINARY:SYMBOL"),
        ("uprobe", "libc:", "is not BINARY:SYMBOL"),
        ("uprobe", "/a:b/c:d", None),
    ],
)  # fmt: skip
def test_forms(name: str, target: str, words: str | None) -> None:
    if words is None:
        installed(name).event(target)
        return
    with pytest.raises(PluginError) as caught:
        installed(name).event(target)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("cpu-clok:10", "target 'cpu-clok:10': no timer or counter 'cpu-clok'; did you mean 'cpu-clock"),
        ("qqq", "target 'qqq': no timer or counter 'qqq'; there are: cpu-clock, task-clock, page-faults"),
        (":5", "no timer or counter ''; there are: cpu-clock"),
        ("cpu-clock:0", "target 'cpu-clock:0' is not EVENT:NUMBER; give 1 to 100000 hertz, as in cpu-clock:1000"),
        ("task-clock:100001", "give 1 to 100000 hertz, as in task-clock:1000"),
        ("instructions:-1", "is not EVENT:NUMBER; give 1 to 1099511627776 events, as in instructions:1000000"),
        ("cycles:", "is not EVENT:NUMBER"),
        ("page-faults:1e3", "is not EVENT:NUMBER"),
        ("page-faults:²", "is not EVENT:NUMBER"),
    ],
)
def test_forms_of_timers_and_counters(target: str, words: str) -> None:
    with pytest.raises(PluginError) as caught:
        installed("perf").attached(None, target)  # type: ignore[arg-type]  # wrong before any program is looked at
    assert words in str(caught.value)


@pytest.mark.parametrize("target", [None, "cpu-clock", "task-clock:100000", "instructions", "cache-misses:1"])
def test_timers_and_counters(target: str | None) -> None:
    assert installed("perf").attached(None, target).patience > 0  # type: ignore[arg-type]


def only_call(trigger: Trigger, target: str | None) -> int:
    shell = ObjectSpec.from_file(trigger.object_path())
    trigger.prepare(shell, target)
    place = shell.variables["only_call"]
    contents = shell.maps[place.map].contents or b""
    return int.from_bytes(contents[place.offset : place.offset + place.size], "little", signed=True)


def test_the_system_call_at_which_a_raw_tracepoint_runs() -> None:
    trigger = installed("raw_tracepoint")
    assert only_call(trigger, None) == only_call(trigger, "sys_enter") == task.getcpu_number()
    assert only_call(trigger.with_options({"nr": "39"}), None) == 39
    assert only_call(trigger.with_options({"nr": "all"}), None) == -1
    assert only_call(trigger, "sched_switch") == -1
    assert only_call(trigger.with_options({}), None) == task.getcpu_number()


@pytest.mark.parametrize("number", ["", "-1", "getcpu", "1 ", "0x10", "2147483648", "²"])
def test_what_is_no_number_of_a_system_call(number: str) -> None:
    with pytest.raises(PluginError, match=r"option nr=.*: not a system call number; give one such as \d+, or all"):
        installed("raw_tracepoint").with_options({"nr": number})


def test_a_number_for_an_event_that_has_none() -> None:
    trigger = installed("raw_tracepoint").with_options({"nr": "39"})
    with pytest.raises(PluginError, match="option nr=39: event 'sys_exit' has no such number; give target sys_enter"):
        only_call(trigger, "sys_exit")


@pytest.mark.parametrize(
    ("event", "count"),
    [
        ("sys_enter_getcpu", 1),
        ("sys_exit_getppid", 1),
        ("sys_enter", 1),
        ("sys_exit", 1),
        ("__x64_sys_getuid", 1),
        ("__arm64_sys_getuid", 1),
        ("__do_sys_getppid", 1),
        ("sys_getpid", 1),
        ("a64l", 1),
        ("sched_switch", len(task.CALLS)),
        ("sys_enter_reboot", len(task.CALLS)),
    ],
)
def test_one_call_provokes_an_event_of_its_name(event: str, count: int) -> None:
    assert len(task.calls_for(event)) == count


def test_libraries_are_found_by_their_short_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    fields = "7f00-7f01 {} 00000000 00:1f 1 {}\n"
    lines = [
        ("r--p", "/lib/libcap.so.2"),
        ("r-xp", "/torch/libc10.so"),
        ("r-xp", "/lib/libc-2.31.so"),
        ("r-xp", "/lib/libcrypto.so.3"),
        ("r-xp", "[vdso]"),
    ]
    maps.write_text("".join(fields.format(*line) for line in lines) + "7f02-7f03 rw-p 00000000 00:00 0\n")
    monkeypatch.setattr(uprobe, "_MAPS", maps)
    assert uprobe.find_binary("libc") == Path("/lib/libc-2.31.so")
    assert uprobe.find_binary("libcrypto") == Path("/lib/libcrypto.so.3")
    assert uprobe.find_binary("libcrypto.so.3") == Path("/lib/libcrypto.so.3")
    assert uprobe.find_binary("/bin/true") == Path("/bin/true")
    assert uprobe.find_binary("sh").name == "sh"
    with pytest.raises(KernelError, match="'libcap' is neither a library of this process nor a program"):
        uprobe.find_binary("libcap")
    with pytest.raises(KernelError, match=r"'libcrypt' is neither a library of this process .*; did you mean 'libcrypto"):
        uprobe.find_binary("libcrypt")


def test_libraries_and_cgroups_are_not_found_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in (uprobe, cgroups):
        monkeypatch.setattr(module, "_MAPS" if module is uprobe else "_MOUNTS", tmp_path / "none")
    with pytest.raises(KernelError, match="so libraries are not found; give a path, or mount -t proc proc /proc"):
        uprobe.find_binary("libc")
    with pytest.raises(NotSupported, match="so cgroups are not found; mount -t proc proc /proc"):
        cgroups.find_cgroup("")


@pytest.mark.parametrize(
    ("closed", "words"),
    [
        (True, "this kernel refuses fentry programs (BPF_PROG_TYPE_TRACING) with EPERM, whatever the capabilities; "),
        (False, "this kernel has no fentry programs (BPF_PROG_TYPE_TRACING), which need CONFIG_DEBUG_INFO_BTF, "),
    ],
)
def test_what_is_told_where_a_type_of_program_does_not_load(monkeypatch: pytest.MonkeyPatch, closed: bool, words: str) -> None:
    monkeypatch.setattr(task, "has_program_type", lambda _type: False)
    monkeypatch.setattr(fentry, "is_closed_to_all", lambda _type: closed)
    monkeypatch.setattr(fentry, "vmlinux", lambda: None)
    told = installed("fentry").supported() or ""
    assert told.startswith(words)
    assert told.endswith("; use trigger tracepoint or raw_tracepoint, which need no fentry programs")
    assert "CONFIG_BPF_EVENTS" in (installed("perf").supported() or "")


def test_a_trigger_of_the_network_tells_what_its_programs_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_type: object) -> bool:
        raise PermissionDenied("program 'probe': BPF_PROG_LOAD refused with EPERM; a seccomp filter may stand in the way")

    monkeypatch.setattr(packets, "has_program_type", refuse)
    monkeypatch.setattr(privilege, "lacking", lambda needed, _root: [name for name in needed if name == "CAP_NET_ADMIN"])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    told = Plugins.installed().trigger("xdp").supported()
    remedy = "run as root (sudo), or grant CAP_NET_ADMIN (it has CAP_BPF and CAP_PERFMON)"
    assert told == f"this process may not load its programs; {remedy}"
    monkeypatch.setattr(privilege, "lacking", lambda needed, _root: [])
    assert "a seccomp filter may stand in the way" in (Plugins.installed().trigger("xdp").supported() or "")
