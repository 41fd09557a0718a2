"""The tracepoint trigger: any event of the calling thread, and of no other."""

from __future__ import annotations

import os
import struct
import subprocess
import threading
from pathlib import Path

import pytest
from agreement import agree
from ebpfnn_plugins import task
from ebpfnn_plugins.tracepoint import TracepointTrigger
from networks import random_network, samples

from ebpfnn import abi
from ebpfnn.errors import KernelError, NotSupported, PluginError, SessionError
from ebpfnn.kernel import NOEXIST
from ebpfnn.kernel.link import tracefiles
from ebpfnn.session import Session

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SMALL = random_network((9, 5, 3), seed=1)
SAMPLES = samples(9, seed=1)


@pytest.mark.parametrize(
    "target",
    [
        None,
        "syscalls:sys_exit_getcpu",
        "syscalls:sys_enter_getppid",
        "syscalls:sys_exit_getppid",
        "syscalls:sys_enter_sched_yield",
        "raw_syscalls:sys_enter",
        "raw_syscalls:sys_exit",
    ],
)
def test_targets(target: str | None) -> None:
    with Session(SMALL, TracepointTrigger(), target) as session:
        agree(session, SAMPLES)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("getcpu", "target 'getcpu' is not CATEGORY:EVENT; give one such as syscalls:sys_enter_getcpu"),
        (":", "target ':' is not CATEGORY:EVENT"),
        ("syscalls:", "is not CATEGORY:EVENT"),
        (":sys_enter_getcpu", "is not CATEGORY:EVENT"),
        ("../../etc:passwd", "is not CATEGORY:EVENT"),
        ("syscalls:a/b", "is not CATEGORY:EVENT"),
        ("syscalls:sys_enter_nothing", "tracepoint 'syscalls:sys_enter_nothing' not found; did you mean"),
        ("..:..", "is not CATEGORY:EVENT"),
        ("syscalls:enable", "not found"),
    ],
)
def test_targets_that_are_none(target: str, words: str) -> None:
    with pytest.raises((KernelError, PluginError)) as caught:
        Session(SMALL, TracepointTrigger(), target)
    assert words in str(caught.value)


def sequence(session: Session, slot: int = 0) -> int:
    value = session.loaded.maps[abi.RESULTS].lookup(struct.pack("<I", slot))
    assert value is not None
    return int.from_bytes(value[:8], "little")


def test_only_the_threads_that_asked_run_the_network() -> None:
    with Session(SMALL, TracepointTrigger()) as session:
        task.getcpu()
        assert sequence(session) == 0
        session.infer(SAMPLES[0])
        assert sequence(session) == 1
        other = threading.Thread(target=task.getcpu)
        other.start()
        other.join()
        assert sequence(session) == 1
        task.getcpu()
        assert sequence(session) == 2


def test_a_child_process_does_not_run_the_network() -> None:
    with Session(SMALL, TracepointTrigger(), "syscalls:sys_enter_getppid") as session:
        session.infer(SAMPLES[0])
        subprocess.run(["sh", "-c", "echo $PPID"], check=True, capture_output=True)
        assert sequence(session) == 1


def test_an_event_that_does_not_happen() -> None:
    with Session(SMALL, TracepointTrigger(), "syscalls:sys_enter_reboot") as session:
        for _ in range(2):
            with pytest.raises(SessionError, match="the event did not happen in this thread, so"):
                session.infer(SAMPLES[0])


def test_a_thread_that_has_a_slot_already() -> None:
    with Session(SMALL, TracepointTrigger()) as session:
        session.loaded.maps[abi.CALLERS].update(struct.pack("<I", threading.get_native_id()), bytes(4), NOEXIST)
        with pytest.raises(SessionError, match=f"thread {threading.get_native_id()} has a slot already"):
            session.infer(SAMPLES[0])


def test_a_machine_without_tracefs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tracefiles, "TRACEFS", (tmp_path,))
    with pytest.raises(
        NotSupported, match=f"trigger 'tracepoint': tracefs is not mounted; mount -t tracefs tracefs {tmp_path}"
    ):
        Session(SMALL, TracepointTrigger())


def test_calls_that_are_made_to_provoke_an_event_change_nothing() -> None:
    before = (os.getuid(), os.getgid(), os.getpid(), os.getppid(), os.sched_getscheduler(0))
    for call in task.CALLS.values():
        call()
    assert (os.getuid(), os.getgid(), os.getpid(), os.getppid(), os.sched_getscheduler(0)) == before
