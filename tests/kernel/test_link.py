"""Links: programs that fire for real, and stop when they are told to."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ebpfnn_plugins.task import getcpu
from waiting import wait_until

from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.kernel import Link, Object, attach_tracepoint
from ebpfnn.kernel.link import perf_event
from ebpfnn.kernel.syscall import Command
from ebpfnn.obj import ObjectSpec

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
EVENT = ("syscalls", "sys_enter_getcpu")

COUNTER = """
const volatile __u64 pidns_dev, pidns_ino;
const volatile __u32 thread;
__u64 hits;
SEC("tracepoint") int count(void *context)
{
    struct bpf_pidns_info caller;
    if (!bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &caller, sizeof(caller)) && caller.pid == thread)
        __atomic_fetch_add(&hits, 1, __ATOMIC_RELAXED);
    return 0;
}
"""


class Counter:
    """A program that counts the events of the thread that made it."""

    def __init__(self, loaded: Object) -> None:
        self.program, self.table = loaded.programs["count"], loaded.maps[".bss"]

    @property
    def hits(self) -> int:
        value = self.table.lookup(bytes(4))
        assert value is not None
        return int.from_bytes(value[:8], "little")


@pytest.fixture
def counter(build_spec: Callable[[str], ObjectSpec]) -> Iterator[Counter]:
    spec = build_spec(COUNTER)
    namespace = Path("/proc/self/ns/pid").stat()
    spec.set_variable("pidns_dev", struct.pack("<Q", namespace.st_dev))
    spec.set_variable("pidns_ino", struct.pack("<Q", namespace.st_ino))
    spec.set_variable("thread", struct.pack("<I", threading.get_native_id()))
    with Object.load(spec) as loaded:
        yield Counter(loaded)


def test_an_attached_program_fires_until_its_link_is_closed(counter: Counter) -> None:
    getcpu()
    assert counter.hits == 0
    with attach_tracepoint(counter.program, *EVENT):
        for expected in (1, 2, 3):
            getcpu()
            assert counter.hits == expected
    getcpu()
    assert counter.hits == 3


def test_one_program_attaches_to_one_event_once(counter: Counter) -> None:
    with attach_tracepoint(counter.program, *EVENT), attach_tracepoint(counter.program, "syscalls", "sys_exit_getcpu"):
        with pytest.raises(KernelError, match=r"tracepoint 'syscalls:sys_enter_getcpu': .* EEXIST"):
            attach_tracepoint(counter.program, *EVENT)
        getcpu()
    assert counter.hits == 2


def test_a_program_stays_attached_though_its_own_descriptor_goes(counter: Counter) -> None:
    with attach_tracepoint(counter.program, *EVENT):
        counter.program.close()
        getcpu()
        assert counter.hits == 1


def test_it_fires_on_every_processor(counter: Counter) -> None:
    allowed = os.sched_getaffinity(0)
    try:
        with attach_tracepoint(counter.program, *EVENT):
            for processor in allowed:
                os.sched_setaffinity(0, {processor})
                getcpu()
    finally:
        os.sched_setaffinity(0, allowed)
    assert counter.hits == len(allowed)


def test_a_pinned_link_stays_until_it_is_unpinned(counter: Counter, bpffs: Path) -> None:
    with attach_tracepoint(counter.program, *EVENT) as link:
        try:
            link.pin(bpffs / "link")
        except NotSupported as lack:
            pytest.skip(str(lack))
    getcpu()
    assert counter.hits == 1
    with Link.open(bpffs / "link"):
        (bpffs / "link").unlink()
        getcpu()
        assert counter.hits == 2

    def fires() -> bool:
        before = counter.hits
        getcpu()
        return counter.hits != before

    assert wait_until(lambda: not fires())  # until Linux 6.17 the pin's own reference goes a grace period later


def test_a_pinned_map_is_no_link(counter: Counter, bpffs: Path) -> None:
    counter.table.pin(bpffs / "map")
    with pytest.raises(KernelError, match="a map is pinned there, not a link"):
        Link.open(bpffs / "map")


@pytest.mark.parametrize(("category", "event"), [("syscalls", "sys_enter_nothing"), ("nothing", "sys_enter_getcpu")])
def test_an_event_that_is_not_there(counter: Counter, category: str, event: str) -> None:
    with pytest.raises(KernelError, match=f"tracepoint '{category}:{event}' not found; "):
        attach_tracepoint(counter.program, category, event)


def test_tracefs_that_is_not_mounted(counter: Counter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys.modules["ebpfnn.kernel.link.tracefiles"], "TRACEFS", (tmp_path / "tracing",))
    with pytest.raises(NotSupported, match=f"tracefs is not mounted; mount -t tracefs tracefs {tmp_path}/tracing"):
        attach_tracepoint(counter.program, *EVENT)


def test_a_kernel_without_links_for_perf_events(counter: Counter, monkeypatch: pytest.MonkeyPatch, bpffs: Path) -> None:
    """As Linux 5.10: BPF_LINK_CREATE is EINVAL there, and the event itself is held."""

    def refuse(command: Command, attributes: ctypes.Structure, what: str) -> int:
        raise KernelError(f"{what}: {command.name} refused", errno.EINVAL)

    monkeypatch.setattr(perf_event, "bpf", refuse)
    with attach_tracepoint(counter.program, *EVENT) as link:
        getcpu()
        assert counter.hits == 1
        with pytest.raises(NotSupported, match="is no link on this kernel and ends with the process"):
            link.pin(bpffs / "link")
    getcpu()
    assert counter.hits == 1
