"""A process that is killed while it loads, swaps or unloads leaves a whole instance or none, and what is left is swept away."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from instances import PINS, all_names, names
from networks import random_network, samples

from ebpfnn import Instance
from ebpfnn.compiler import build_twin
from ebpfnn.instance import Store
from ebpfnn.kernel import pinning
from ebpfnn.network import reference

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing", "perf_links")]
SMALL, OTHER = random_network((9, 5, 3), seed=1), random_network((9, 4, 3), seed=2)
SAMPLE = samples(9, seed=1)[0]
STEPS = ("os.mkdir", "os.rename", "os.symlink", "os.chmod", "os.chown", "os.remove", "os.rmdir", "fcntl.flock", "test.pin")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Runs ``work`` in a child that is killed before its ``step``-th change of the file system; False where it came through."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _count_steps(step)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"exit {status}"
    return status != 0


def _count_steps(last: int) -> None:
    steps = count(1)
    pin = pinning.pin

    def pin_audibly(*arguments: Any) -> None:
        sys.audit("test.pin")
        pin(*arguments)

    def watch(event: str, _arguments: object) -> None:
        if event in STEPS and next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    pinning.pin = pin_audibly  # the child's own
    sys.addaudithook(watch)


def whole_or_none(store: Store) -> bool:
    """Whether there is an instance, which must then be whole and answer."""
    if not (store.directory / "one").exists():
        assert not any(path.exists() for path in store.root.iterdir() if path.is_symlink())
        return False
    assert sorted(path.name for path in (store.directory / "one").iterdir()) == sorted([*PINS, "link"])
    with Instance.open("one").session() as session:
        scores = session.infer(SAMPLE).scores.tolist()
        assert scores == reference.scores(SMALL if session.network.architecture == "9-5-3" else OTHER, SAMPLE).tolist()
    return True


def test_a_load_that_is_killed(store: Store) -> None:
    body = build_twin(SMALL)
    seen = set()
    for step in count(1):
        killed = killed_at(step, lambda: Instance.load(SMALL, TracepointTrigger(), name="one", body=body))
        loaded = whole_or_none(store)
        seen.add((killed, loaded))
        if not loaded:  # what it left is in nobody's way
            Instance.load(SMALL, RunTrigger(), name="one", body=body)
        else:
            store.sweep()
        assert names(store) == all_names("one")
        Instance.open("one").unload()
        if not killed:
            break
    assert step > 30, "what was to be killed at every step has fewer than it makes pins and names"
    assert seen == {(True, False), (False, True)} | ({(True, True)} & seen)


def test_an_unload_that_is_killed(store: Store) -> None:
    body = build_twin(SMALL)
    for step in count(1):
        if not (store.directory / "one").exists():
            Instance.load(SMALL, TracepointTrigger(), name="one", body=body)
        killed = killed_at(step, lambda: Instance.open("one").unload())
        loaded = whole_or_none(store)
        store.sweep()
        assert names(store) == (all_names("one") if loaded else set())
        if not killed:
            break
    assert not loaded
    assert step > 15


def test_a_swap_that_is_killed(store: Store) -> None:
    """At any of its system calls: what it changes are maps."""
    from ebpfnn.kernel import syscall

    Instance.load(SMALL, TracepointTrigger(), name="one")
    body = build_twin(OTHER)
    real = syscall.system_call
    for step in count(1, 3):
        calls = count(1)

        def work(calls: count[int] = calls, step: int = step) -> None:
            _kill_at_call(calls, step)
            Instance.open("one").swap(OTHER, body=body)

        killed = killed_at(0, work)
        assert whole_or_none(store)
        if not killed:
            break
    assert real is syscall.system_call
    assert step > 15
    assert Instance.open("one").about().architecture == "9-4-3"


def _kill_at_call(calls: count[int], last: int) -> None:
    """Kills this process at its ``last``-th map operation."""
    from ebpfnn.kernel import Map

    element = Map._element

    def killing(self: Map, *arguments: Any) -> None:
        if next(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        element(self, *arguments)

    Map._element = killing  # type: ignore[method-assign]  # the child's own
