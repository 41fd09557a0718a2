"""Faults of the system end as one line that names the object, the fact and what mends it, and leave nothing behind."""

from __future__ import annotations

import errno
import gc
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from descriptors import descriptors
from ebpfnn_plugins.tracepoint import TracepointTrigger
from faults import run
from instances import names
from kernelmaps import make
from networks import random_network, samples

from ebpfnn import Instance
from ebpfnn.errors import Error, KernelError
from ebpfnn.instance import Store
from ebpfnn.kernel import Map
from ebpfnn.obj import MapSpec
from ebpfnn.obj.uapi import MMAPABLE, MapType
from ebpfnn.session import Session

pytestmark = [
    pytest.mark.root,
    pytest.mark.usefixtures("tracing"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare(1) is not installed"),
]
DIGIT = "tests/data/digits/7.png"
RUN = ("infer", "--trigger", "run", "--quiet", DIGIT)
TRACED = ("infer", "--trigger", "tracepoint", "--quiet", DIGIT)
LOAD = ("load", "mnist", "--trigger", "tracepoint", "--name", "one", "--quiet")
SMALL = random_network((9, 5, 3), seed=1)
FILTER = "a seccomp filter or a security module forbids it: allow {}(2)"
NO_PROC, NO_SYS = "umount -l /proc", "umount -l /sys"


def one_line(ran: subprocess.CompletedProcess[str]) -> str:
    """What is said of a failure. Nothing is printed but that."""
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1), ran.stderr
    assert "internal error" not in ran.stderr
    return ran.stderr


@pytest.mark.parametrize(
    ("arguments", "call", "code", "words"),
    [
        (RUN, "bpf", errno.ENOSYS, "refused with ENOSYS (Function not implemented); " + FILTER.format("bpf")),
        (RUN, "bpf", errno.EPERM, "refused with EPERM (Operation not permitted); "),
        (RUN, "bpf", errno.ENOSPC, "refused with ENOSPC (No space left on device); no space is left"),
        (RUN, "bpf", errno.EINTR, "refused with EINTR (Interrupted system call); a signal interrupted it; try again"),
        (RUN, "bpf", errno.ENOMEM, "the kernel has no memory for it; make it smaller, or free some"),
        (TRACED, "perf_event_open", errno.ENOSYS, FILTER.format("perf_event_open")),
        (
            TRACED,
            "perf_event_open",
            errno.EINTR,
            "perf_event_open refused with EINTR (Interrupted system call); a signal interrupted it",
        ),
        (TRACED, "gettid", errno.ENOSYS, "this thread: gettid refused with ENOSYS (Function not implemented); "),
        (TRACED, "gettid", errno.ENOSYS, FILTER.format("gettid")),
        (LOAD, "flock", errno.EPERM, "/~lock': flock refused with EPERM (Operation not permitted); " + FILTER.format("flock")),
        (
            LOAD,
            "flock",
            errno.ENOSYS,
            "flock refused with ENOSYS (Function not implemented); " + FILTER.format("flock"),
        ),
        (
            LOAD,
            "flock",
            errno.ENOLCK,
            "flock refused with ENOLCK (No locks available); no more locks are available",
        ),
    ],
)
def test_a_system_call_that_is_refused(store: Store, arguments: tuple[str, ...], call: str, code: int, words: str) -> None:
    assert words in one_line(run(*arguments, refused={call: code}))
    assert names(store) == set()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_threads_that_cannot_be_asked_for_count_as_living(store: Store, code: int) -> None:
    ran = run(*LOAD, refused={"kill": code, "tgkill": code})
    assert (ran.returncode, ran.stderr) == (0, "")
    Instance.open("one", store).unload()


@pytest.mark.parametrize(
    ("arguments", "mounts", "words"),
    [
        (TRACED, NO_PROC, "/proc/self/ns/pid cannot be read (No such file or directory), so thread IDs cannot be determined; "),
        (
            LOAD,
            NO_PROC,
            "cannot be read (No such file or directory), so thread IDs cannot be determined; mount -t proc proc /proc",
        ),
        (("list",), NO_PROC, "/proc/self/mounts cannot be read"),
        (("unload", "one"), NO_PROC, "; mount -t proc proc /proc"),
        (("bpf", "list"), NO_PROC, "cannot be read (No such file or directory), so "),
        (
            ("infer", "--trigger", "perf", DIGIT),
            NO_SYS,
            "/sys/devices/system/cpu/online cannot be read (No such file",
        ),
        (TRACED, NO_SYS, "tracefs is not mounted; mount -t tracefs tracefs /sys/kernel/tracing"),
        (("infer", "--trigger", "kprobe", DIGIT), NO_SYS, "tracefs is not mounted"),
        (TRACED, "mount -t tmpfs tmpfs /sys/kernel/tracing", "tracefs is not mounted"),
    ],
)
def test_a_file_system_that_is_missing(store: Store, arguments: tuple[str, ...], mounts: str, words: str) -> None:
    with make(MapType.ARRAY):  # whose owners `bpf list` looks for, also where nothing else is loaded
        ran = run(*arguments, mounts=mounts)
    assert words in ran.stderr
    assert "internal error" not in ran.stderr
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert names(store) == set()


@pytest.mark.parametrize("mounts", [NO_PROC, NO_SYS, "mount -o remount,bind,ro /sys"])
def test_what_needs_neither_proc_nor_sys_works_without(mounts: str) -> None:
    ran = run(*RUN, mounts=mounts)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "7\n", "")


def test_a_bpffs_that_is_read_only(store: Store) -> None:
    read_only = f"mount -o remount,bind,ro {store.root}"
    told = "(Read-only file system); it is mounted read-only; mount -o remount,rw its mount point"
    assert told in one_line(run(*LOAD, mounts=read_only))
    assert names(store) == set()
    with Instance.load(SMALL, TracepointTrigger(), name="one") as instance:
        assert told in one_line(run("unload", "one", mounts=read_only))
        listed = run("list", mounts=read_only)
        assert (listed.returncode, "one" in listed.stdout) == (0, True), listed.stderr
        instance.unload()


def test_doctor_tells_of_a_bpffs_that_is_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EBPFNN_BPFFS", raising=False)
    ran = run("doctor", mounts="mount -t bpf bpf /sys/fs/bpf; mount -o remount,ro /sys/fs/bpf")
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^warn +bpffs", ran.stdout, re.MULTILINE)
    assert "/sys/fs/bpf is mounted read-only: nothing can be pinned there" in ran.stdout
    assert "fix: mount -o remount,rw /sys/fs/bpf" in ran.stdout


@pytest.mark.parametrize(("mounts", "remedy"), [(NO_PROC, "mount -t proc proc /proc"), (NO_SYS, "mount -t sysfs sysfs /sys")])
def test_doctor_tells_of_proc_and_sys_that_are_missing(mounts: str, remedy: str) -> None:
    ran = run("doctor", mounts=mounts)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert remedy in ran.stdout


@contextmanager
def room_for(more: int) -> Iterator[None]:
    """While this holds, this process may open so many descriptors more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def session() -> None:
    with Session(SMALL, TracepointTrigger()) as opened:
        opened.infer(samples(9, seed=1)[0])


def load_and_unload() -> None:
    with Instance.load(SMALL, TracepointTrigger(), name="one") as instance:
        with instance.session() as opened:
            opened.infer(samples(9, seed=1)[0])
        instance.unload()


@pytest.mark.parametrize("work", [session, load_and_unload])
def test_descriptors_that_run_out_anywhere(store: Store, work: Callable[[], None]) -> None:
    """The limit is met at every place where one is taken, the last one first to do without."""
    work()  # what is found out once of this kernel takes descriptors too
    gc.collect()
    held, told = descriptors(), list[str]()
    while len(told) < 100:
        try:
            with room_for(len(told)):
                work()
        except Error as refused:
            told.append(str(refused))
        else:
            break
        gc.collect()
        assert descriptors() == held
        assert names(store) == set()
    assert 10 < len(told) < 100
    assert not [line for line in told if "\n" in line or "ulimit -n" not in line or "bug in ebpfnn" in line]


def test_memory_that_runs_out() -> None:
    """From where Python and numpy are in memory, up to where it is enough."""
    told = [run(*RUN, limits={"AS": megabytes << 20}) for megabytes in range(150, 421, 90)]
    for ran in told:
        if ran.returncode:
            assert "raise the limit (ulimit -v)" in one_line(ran) or "no memory for it" in ran.stderr
    assert [ran.returncode for ran in told] == sorted((ran.returncode for ran in told), reverse=True)
    assert (told[0].returncode, told[-1].returncode) == (1, 0)


def test_memory_that_runs_out_as_a_map_is_mapped() -> None:
    with Map.create(MapSpec("large", MapType.ARRAY, 4, 4096, 1 << 12, flags=MMAPABLE)) as held:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 20), before[1]))
        try:
            with pytest.raises(KernelError, match=r"map 'large': mmap refused with ENOMEM .*; the kernel has no memory for it"):
                held.mmap()
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)


def test_commands_that_run_out_of_descriptors_at_once() -> None:
    assert "Too many open files; raise ulimit -n, or close files" in one_line(run(*RUN, limits={"NOFILE": 3}))
