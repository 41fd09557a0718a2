"""Instances that observe events of threads: everybody's, but for what conditions leave out; several events share states."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest
from guards import guard
from instances import names
from test_instance_crash import killed_at

from ebpfnn import Instance, Plugins
from ebpfnn.errors import InputError, KernelError, UsageError
from ebpfnn.instance import Store
from ebpfnn.network import QuantizedNetwork
from ebpfnn.session.observed import observe

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing", "perf_links")]
_libc = ctypes.CDLL(None)
_SET_NAME = 15  # PR_SET_NAME
UID = 100_000 + os.getpid()  # nobody else runs as this user, not even another run of these tests
CALLS: dict[str, Any] = {
    "name": "calls",
    "key": ["tgid", "uid"],
    "event": [{"trigger": "tracepoint", "target": "syscalls:sys_enter_getppid"}],
    "column": [{"name": "calls", "reduce": "count"}, {"name": "number", "reduce": "last", "of": "number"}],
}
BOTH: dict[str, Any] = {
    **CALLS,
    "event": [*CALLS["event"], {"trigger": "tracepoint", "target": "syscalls:sys_enter_getpgid"}],
    "column": [
        {"name": "parents", "reduce": "count", "event": ["sys_enter_getppid"]},
        {"name": "groups", "reduce": "count", "event": ["sys_enter_getpgid"]},
        {"name": "pid", "reduce": "last", "of": "event_pid", "event": ["sys_enter_getpgid"]},
    ],
}
COUNTED = {"encode": "bins", "bounds": [1, 2, 4, 8, 16], "step": 51}


def calls(spec: Mapping[str, Any] = CALLS, seed: int = 1, name: str = "calls") -> QuantizedNetwork:
    columns = {column["name"]: COUNTED for column in spec["column"]}
    return guard(spec, columns, trigger="tracepoint", labels=("few", "many"), seed=seed, name=name)


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.installed()


def load(network: QuantizedNetwork, plugins: Plugins, **options: Any) -> Instance:
    return Instance.load(network, plugins.trigger("tracepoint"), name="calls", plugins=plugins, **options)


def in_child(work: Callable[[], object], uid: int = 0, comm: bytes = b"python3") -> int:
    """Runs ``work`` in a process of that user and name, and returns its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _libc.prctl(_SET_NAME, comm, 0, 0, 0)
            os.setuid(uid)
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    return child


def ask(number: int) -> Callable[[], object]:
    return lambda: [os.getppid() for _ in range(number)]


def test_everybody_is_observed_but_for_what_a_condition_leaves_out(store: Store, plugins: Plugins) -> None:
    with load(calls(), plugins, filters=[f"uid == {UID}"]) as instance:
        assert "raw tracepoint" not in instance.proof
        assert "without the conditions on uid, which this process does not meet" in instance.proof
        in_child(ask(50))
        ask(50)()
        assert instance.verdicts() == []
        child = in_child(ask(20), UID)
        (found,) = instance.verdicts()
        assert found.key == {"tgid": child, "uid": UID}
        assert (found.number, found.shown) == (20, f"tgid={child} uid={UID}")
        assert instance.statistics().answered == 20
        assert instance.about().filters == (f"uid == {UID}",)


def test_the_name_of_the_thread_is_a_condition(store: Store, plugins: Plugins) -> None:
    with load(calls(), plugins, filters=['comm == "a-guarded-one"']) as instance:
        in_child(ask(9), comm=b"another-one")
        child = in_child(ask(3), comm=b"a-guarded-one")
        assert [each.key["tgid"] for each in instance.verdicts()] == [child]


def test_several_events_share_states_and_are_swapped_together(store: Store, plugins: Plugins) -> None:
    def work() -> None:
        for _ in range(3):
            os.getppid()
            os.getpgid(0)

    with load(calls(BOTH), plugins, filters=[f"uid == {UID}"]) as instance:
        assert {"stub", "stub-1", "link", "link-1", "networks", "networks-1"} <= {each.name for each in instance.path.iterdir()}
        in_child(work, UID)
        assert [each.number for each in instance.verdicts()] == [6]
        with instance.watch_verdicts() as watch:
            instance.swap(calls(BOTH, seed=2))
            assert list(watch.read(0)) == []  # a swap may take longer than a watcher may be silent
            in_child(work, UID)
            told = list(watch.read(1))
        assert [each.number for each in told] == [1, 2, 3, 4, 5, 6]
        assert {each.swaps for each in told} == {1}
        assert sorted(each.swaps for each in instance.verdicts()) == [0, 1]
        assert instance.stats(0.05).counts["observed"] == 0
        assert instance.is_attached()
        instance.unload()
    assert names(store) == set()


def test_what_cannot_be_attached_leaves_nothing(store: Store, plugins: Plugins) -> None:
    broken = {**BOTH, "event": [BOTH["event"][0], {**BOTH["event"][1], "target": "syscalls:sys_enter_getpgidd"}]}
    broken["column"] = [{"name": "calls", "reduce": "count"}]
    with pytest.raises(KernelError, match="sys_enter_getpgidd"):
        load(calls(broken), plugins)
    with pytest.raises(UsageError, match="has 2 events of trigger 'tracepoint' with targets of their own; leave out --target"):
        load(calls(BOTH), plugins, target="sched:sched_switch")
    assert names(store) == set()


def test_a_column_that_the_spec_does_not_give_is_refused(store: Store, plugins: Plugins) -> None:
    network = guard(CALLS, {"calls": COUNTED, "numbr": COUNTED}, trigger="tracepoint", name="calls")
    with pytest.raises(InputError, match="column 'numbr' is no result of its spec 'calls'; did you mean 'number'"):
        load(network, plugins)


def test_some_results_in_another_order_are_enough(store: Store, plugins: Plugins) -> None:
    network = guard(BOTH, {"groups": COUNTED, "parents": COUNTED}, trigger="tracepoint", name="calls", labels=("a", "b"))
    with load(network, plugins, filters=[f"uid == {UID}"]) as instance:
        assert "as the twin computes them" in instance.proof
        assert [each.name for each in observe(network, plugins.trigger("tracepoint"), None, plugins=plugins).columns] == [
            "groups",
            "parents",
        ]


def whole_or_none(store: Store) -> bool:
    if not (store.directory / "calls").exists():
        assert not any(path.is_symlink() for path in store.root.iterdir())
        return False
    with Instance.open("calls", store) as instance:
        before = instance.statistics().answered
        in_child(ask(4), UID)
        assert instance.statistics().answered == before + 4
    return True


@pytest.mark.slow
def test_a_load_that_is_killed_leaves_all_or_nothing(store: Store, plugins: Plugins) -> None:
    seen = set()
    for step in count(1, 3):  # a third of the steps is enough to tell
        killed = killed_at(step, lambda: load(calls(), plugins, filters=[f"uid == {UID}"]))
        Store().sweep()
        loaded = whole_or_none(store)
        seen.add((killed, loaded))
        if loaded:
            Instance.open("calls", store).unload()
        if not killed:
            break
    assert seen == {(True, False), (False, True)} or seen == {(True, False), (True, True), (False, True)}
    assert names(store) == set()
