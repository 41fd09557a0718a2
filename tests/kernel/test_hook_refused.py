"""What every attachment does when the kernel refuses it: the right words, and nothing left open (conftest.py looks)."""

from __future__ import annotations

import ctypes
import errno
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures import Loaded, loaded
from kernelmaps import make

from ebpfnn import kernel
from ebpfnn.errors import KernelError, PermissionDenied
from ebpfnn.kernel import syscall
from ebpfnn.kernel.link import uprobe
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.uapi import AttachType, MapType

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
PROGRAM = 'SEC("socket") int idle(void *context) { return 0; }'


@pytest.fixture
def idle(build_spec: Callable[[str], ObjectSpec]) -> Iterator[Loaded]:
    with loaded(build_spec, PROGRAM) as held:
        yield held


class Refusing:
    """The C library, with a kernel behind it that refuses every bpf(2) and nothing else."""

    def __init__(self, real: ctypes.CDLL, code: int) -> None:
        self._real, self._code = real, code

    def syscall(self, number: int, *arguments: object) -> int:
        if number == syscall._numbers()[0]:
            ctypes.set_errno(self._code)
            return -1
        return int(self._real.syscall(number, *arguments))


def attachers(idle: Loaded, cgroup: Path) -> dict[str, Callable[[], object]]:
    program, table = idle.program, idle.map(".bss")
    return {
        "tracepoint": lambda: kernel.attach_tracepoint(program, "syscalls", "sys_enter_getppid"),
        "raw tracepoint": lambda: kernel.attach_raw_tracepoint(program, "sys_enter"),
        "perf event": lambda: kernel.attach_perf_event(program, period=1_000_000_000),
        "uprobe": lambda: kernel.attach_uprobe(program, sys.executable, "", offset=4096),
        "uprobes": lambda: kernel.attach_uprobe_multi(program, sys.executable, ["main"]),
        "kprobe on": lambda: kernel.attach_kprobe_multi(program, ["vfs_read"]),
        "tracing": lambda: kernel.attach_tracing(program),
        "replacement": lambda: kernel.attach_freplace(program, program, 1),
        "iterator": lambda: kernel.attach_iterator(program, map=table),
        "XDP": lambda: kernel.attach_xdp(program, "lo"),
        "tcx": lambda: kernel.attach_tcx(program, "lo"),
        "netkit": lambda: kernel.attach_netkit(program, "lo", peer=True),
        "netfilter": lambda: kernel.attach_netfilter(program, kernel.Hook.LOCAL_IN),
        "socket lookup": lambda: kernel.attach_sk_lookup(program),
        "flow dissector": lambda: kernel.attach_flow_dissector(program),
        "cgroup": lambda: kernel.attach_cgroup(program, cgroup, AttachType.CGROUP_DEVICE),
    }


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOMEM])
def test_a_refused_attachment(idle: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(uprobe, "function_offset", lambda path, function: 4096)
    monkeypatch.setattr(syscall, "_libc", Refusing(syscall._libc, code))
    expected = PermissionDenied if code == errno.EPERM else KernelError
    for name, attach in attachers(idle, tmp_path).items():
        with pytest.raises(expected, match=f"{name}.* refused with {errno.errorcode[code]}") as refused:
            attach()
        assert refused.value.errno == code
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOMEM])
def test_refused_consumers_and_batches(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    with make(MapType.PERF_EVENT_ARRAY, value_size=4) as events, make(MapType.HASH) as table:
        monkeypatch.setattr(syscall, "_libc", Refusing(syscall._libc, code))
        refused: list[Callable[[], object]] = [
            lambda: kernel.PerfBuffer(events),
            lambda: list(table.keys()),
            lambda: list(table.lookup_batch()),
            lambda: table.update_batch([(bytes(4), bytes(8))]),
            lambda: kernel.Map.from_id(1),
            kernel.run_statistics,
        ]
        for attempt in refused:
            with pytest.raises(KernelError, match=f"refused with {errno.errorcode[code]}"):
                attempt()
