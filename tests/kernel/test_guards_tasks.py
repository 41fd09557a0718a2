"""Guards of threads, on processes and cgroups that a test makes: who gets a signal, who does not, and every brake."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cgroups import cgroup, end_of, is_root, remove, start
from taskguards import FOREVER, POLICY, calls, counts, guard, network, observation

from ebpfnn import Observation, Plugins
from ebpfnn.errors import KernelError, UsageError
from ebpfnn.events.policy import entry
from ebpfnn.kernel import find_cgroup
from ebpfnn.session.guarding import Guard

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
KILLED = -signal.SIGKILL
CLONE_NEWPID = 0x20000000  # include/uapi/linux/sched.h


@pytest.fixture
def inside() -> Iterator[Path]:
    with cgroup() as made:
        yield made


@pytest.mark.slow
def test_audit_hits_nobody_and_sees_only_the_cgroup(inside: Path) -> None:
    with observation(inside) as found:
        assert end_of(start(calls(9))) == 0
        assert found.counts()["observed"] == 0
        assert end_of(start(calls(9), inside)) == 0
        assert end_of(start(calls(6), inside / "below")) == 0
        assert (counts(found), found.brakes.outcomes()["hit"]) == ({"audited": 7}, 0)


def test_who_is_in_the_cgroup_or_below_gets_the_signal_and_nobody_else(inside: Path) -> None:
    with observation(inside) as found:
        found.brakes.enforce(FOREVER)
        assert end_of(start(calls(50))) == 0
        assert end_of(start(calls(4), inside)) == 0  # not bad yet
        assert end_of(start(calls(50), inside)) == KILLED
        assert end_of(start(calls(50), inside / "below")) == KILLED
        with cgroup("-other") as other:
            assert end_of(start(calls(50), other)) == 0
        assert found.brakes.outcomes() == {"hit": 2, "failed": 0, "exempt": 0, "outside": 0}
    assert end_of(start(calls(50), inside)) == 0  # it is gone


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TERM", "INT", "USR1"])
def test_each_signal_is_the_one_that_was_named(inside: Path, name: str) -> None:
    def work() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        calls(50)()

    with observation(inside, f"signal:{name}") as found:
        found.brakes.enforce(FOREVER)
        assert end_of(start(work, inside)) == -signal.Signals[f"SIG{name}"]


@pytest.mark.slow
def test_a_stopped_process_stops_again_once_it_goes_on_and_not_before(inside: Path) -> None:
    with observation(inside, "signal:STOP", replace(POLICY, lasting=10**12)) as found:
        found.brakes.enforce(FOREVER)
        child = start(calls(8), inside)
        for number in range(1, 5):
            assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
            assert found.brakes.outcomes()["hit"] == number
            os.kill(child, signal.SIGCONT)
        assert end_of(child) == 0


@pytest.mark.slow
def test_pause_and_resume(inside: Path) -> None:
    with observation(inside) as found:
        found.brakes.enforce(FOREVER)
        found.brakes.pause(True)
        assert end_of(start(calls(9), inside)) == 0
        found.brakes.pause(False)
        assert end_of(start(calls(9), inside)) == KILLED
        assert counts(found) == {"paused": 5, "acted": 1}


@pytest.mark.slow
def test_the_deadline_is_kept_by_bpf_itself(inside: Path) -> None:
    with observation(inside) as found:
        found.brakes.enforce(time.monotonic_ns() + 1_000_000_000)
        assert end_of(start(calls(9), inside)) == KILLED
        time.sleep(1.1)
        assert end_of(start(calls(9), inside)) == 0


@pytest.mark.slow
def test_the_cap(inside: Path) -> None:
    def work() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        calls(100)()

    with observation(inside, "signal:USR1", replace(POLICY, most=0.02)) as found:
        found.brakes.enforce(FOREVER)
        assert end_of(start(work, inside)) == 0
        told = counts(found)
        assert told["acted"] + told["capped"] == 96
        assert 1 <= told["acted"] <= 2 * 4  # at most two windows, on two processors
        assert found.brakes.outcomes()["hit"] == told["acted"]


@pytest.mark.slow
@pytest.mark.parametrize("allowed", ["uid == 12345", 'comm == "a-patient-one"'])
def test_who_is_allowed_is_never_hit(inside: Path, allowed: str) -> None:
    def work() -> None:
        Path("/proc/self/comm").write_text("a-patient-one")
        os.setuid(12345)
        calls(50)()

    with observation(inside, policy=replace(POLICY, allowed=(entry(allowed),))) as found:
        found.brakes.enforce(FOREVER)
        assert end_of(start(work, inside)) == 0
        assert end_of(start(calls(50), inside)) == KILLED
        assert found.brakes.counts(("benign", "bad"))[""]["allowed"] >= 50


@contextmanager
def pipes() -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Two pipes, by which processes wait for each other."""
    both = os.pipe(), os.pipe()
    try:
        yield both
    finally:
        for each in (*both[0], *both[1]):
            os.close(each)


def test_who_loads_the_guard_and_their_ancestors_are_exempt_but_not_their_children(inside: Path) -> None:
    """The test starts a process, which starts the one that loads; both are in the cgroup, and call too often."""

    def loads() -> None:
        with observation(inside) as found:
            found.brakes.enforce(FOREVER)
            calls(50)()
            os.write(told[1], b".")
            assert os.read(done[0], 1)
            assert found.brakes.outcomes() == {"hit": 0, "failed": 0, "exempt": 92, "outside": 0}
            assert end_of(start(calls(50))) == KILLED

    def ancestor() -> None:
        child = start(loads)
        assert os.read(told[0], 1)
        calls(50)()
        os.write(done[1], b".")
        assert end_of(child) == 0

    with pipes() as (told, done):
        assert end_of(start(ancestor, inside)) == 0


def test_they_are_exempt_too_where_the_loader_sees_other_ids(inside: Path) -> None:
    """The loader is process 1 of a PID namespace of its own, and does not see who started it."""

    def loads() -> None:
        assert os.getpid() == 1
        with observation(inside) as found:
            found.brakes.enforce(FOREVER)
            calls(50)()
            assert found.brakes.outcomes()["exempt"] == 46
            os.write(told[1], b".")
            assert os.read(done[0], 1)
            assert found.brakes.outcomes()["exempt"] == 92
            assert end_of(start(calls(50))) == KILLED

    def outside() -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWPID):
            raise OSError(ctypes.get_errno(), "unshare")
        child = start(loads)
        assert os.read(told[0], 1)
        calls(50)()
        os.write(done[1], b".")
        assert end_of(child) == 0

    with pipes() as (told, done):
        assert end_of(start(outside, inside)) == 0


def test_a_cgroup_that_is_removed_and_made_again_is_another_one(inside: Path) -> None:
    with observation(inside) as found:
        found.brakes.enforce(FOREVER)
        remove(inside / "below")
        remove(inside)
        inside.mkdir()
        assert end_of(start(calls(50), inside)) == 0
        assert counts(found) == {}


@pytest.mark.parametrize("trigger", ["raw_tracepoint", "kprobe", "kretprobe", "uprobe", "fentry", "fexit"])
def test_each_trigger_of_threads(inside: Path, trigger: str) -> None:
    plugins = Plugins.installed()
    found = plugins.trigger(trigger)
    if lack := found.supported():
        pytest.skip(lack)
    event = {
        "name": "event",
        "trigger": trigger,
        "target": "sys_exit" if trigger == "raw_tracepoint" else found.default_target or "",
    }
    if trigger not in ("raw_tracepoint", "uprobe"):
        event["target"] = event["target"].replace("getcpu", "getpgid")
    work = {"uprobe": calls_of_a64l}.get(trigger, lambda: [os.getpgid(0) for _ in range(50)])
    with Observation(network(event, trigger), found, guard=guard(inside)) as seen:
        seen.brakes.enforce(FOREVER)
        assert end_of(start(work, inside)) == KILLED
        assert end_of(start(work)) == 0
        assert seen.brakes.outcomes()["hit"] >= 1


def calls_of_a64l() -> None:
    from ebpfnn_plugins.task import CALLS

    for _ in range(50):
        CALLS["a64l"]()


@pytest.mark.slow
def test_a_timer_finds_who_works(inside: Path) -> None:
    def work() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            sum(range(1000))

    plugins = Plugins.installed()
    event = {"trigger": "perf", "target": "cpu-clock:1000"}
    with Observation(network(event, "perf"), plugins.trigger("perf"), guard=guard(inside)) as seen:
        seen.brakes.enforce(FOREVER)
        assert end_of(start(work, inside)) == KILLED


@pytest.mark.slow
def test_what_is_refused(inside: Path, tmp_path: Path) -> None:
    plugins = Plugins.installed()
    tracepoint = plugins.trigger("tracepoint")
    with pytest.raises(UsageError, match=r"action 'signal' harms processes, .*; give the cgroup that they are in \(--cgroup\)"):
        Observation(network(), tracepoint, guard=guard(""))
    if is_root(find_cgroup("")):
        with pytest.raises(UsageError, match="is the root, which has every process of this machine; give one below it"):
            Observation(network(), tracepoint, guard=guard(find_cgroup("")))
    with pytest.raises(KernelError, match="this is not a cgroup of version 2; give a directory of the cgroup2 mount"):
        Observation(network(), tracepoint, guard=guard(tmp_path))
    with pytest.raises(KernelError, match="there is no such directory"):
        Observation(network(), tracepoint, guard=guard(inside / "gone"))
    with pytest.raises(UsageError, match="do not happen in a cgroup's threads; leave out the cgroup"):
        Guard(POLICY, plugins.action("drop"), str(inside)).check_cgroup(plugins.trigger("tc").guard())
    with pytest.raises(UsageError, match="action 'drop' acts on no events of trigger 'tracepoint'"):
        Observation(network(), tracepoint, guard=Guard(POLICY, plugins.action("drop")))
