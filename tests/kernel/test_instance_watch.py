"""Watching an instance and counting what it does: in the process that infers, and from others."""

from __future__ import annotations

import json
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from instances import ebpfnn, environment
from networks import random_network, samples

from ebpfnn import Instance, abi
from ebpfnn.errors import PermissionDenied, SessionError
from ebpfnn.instance import Store, rates
from ebpfnn.instance.pins import Pins
from ebpfnn.instance.store import LOCKS, is_locked
from ebpfnn.kernel import RingBuffer
from ebpfnn.kernel.ring.ringbuf import record_size
from ebpfnn.network import reference

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SMALL, OTHER = random_network((9, 5, 3), seed=1), random_network((9, 5, 3), seed=2)
SAMPLES = samples(9, seed=1)
SCORES = reference.scores(SMALL, SAMPLES)


@pytest.fixture(params=[RunTrigger, TracepointTrigger], ids=["run", "tracepoint"])
def instance(request: pytest.FixtureRequest, store: Store) -> Instance:
    return Instance.load(SMALL, request.param(), name="one", store=store)


def test_every_inference_is_told(instance: Instance) -> None:
    with instance.watch() as watch, instance.session() as session:
        began = time.monotonic_ns()
        for sample in SAMPLES:
            session.infer(sample)
        events = list(watch.read())
        assert watch.lost == 0
    assert [event.index for event in events] == SCORES.argmax(axis=1).tolist()
    assert [event.score for event in events] == SCORES.max(axis=1).tolist()
    assert [event.label for event in events] == [SMALL.labels[event.index] for event in events]
    assert {(event.status, event.network, event.source) for event in events} == {(0, SMALL.name, events[0].source)}
    times = [event.time_ns for event in events]
    assert times == sorted(times)
    assert began < times[0] < times[-1] < time.monotonic_ns()
    assert all(event.elapsed_ns > 0 for event in events)


def test_after_a_swap_the_other_network_is_told(instance: Instance) -> None:
    with instance.watch() as watch, instance.session() as session:
        session.infer(SAMPLES[0])
        assert [event.network for event in watch.read()] == [SMALL.name]
        instance.swap(OTHER)
        list(watch.read())  # the proof of the swap is an inference too, where the event itself is made
        session.infer(SAMPLES[0])
        events = list(watch.read())  # more than one: a session that finds a swap asks again
    told = {(event.network, event.index) for event in events}
    assert told == {(OTHER.name, int(reference.scores(OTHER, SAMPLES[:1]).argmax()))}


def test_nothing_is_told_of_before_and_after(instance: Instance) -> None:
    with instance.session() as session:
        session.infer(SAMPLES[0])
        with instance.watch() as watch:
            assert list(watch.read(0)) == []
        session.infer(SAMPLES[0])
        with instance.watch() as again:
            assert list(again.read(0)) == []
    with pytest.raises(SessionError, match=r"^the watch of instance 'one' is closed; begin another$"):
        list(watch.read())


def test_each_of_many_networks_is_told_by_its_own_name(instance: Instance) -> None:
    """The third takes the place of the first in the kernel."""
    with instance.watch() as watch, instance.session() as session:
        for number in range(5):
            made = replace(random_network((9, 5, 3), seed=number), name=f"number {number}")
            instance.swap(made)
            list(watch.read())
            session.infer(SAMPLES[0])
            assert {event.network for event in watch.read()} == {made.name}


def told_without_a_watch(instance: Instance, until_ns: int) -> int:
    """How many events the kernel tells of three inferences where the map ``watch`` says so."""
    with Pins(instance.path) as pins, instance.session() as session, RingBuffer(pins.maps[abi.EVENTS]) as ring:
        pins.maps[abi.WATCH].update(bytes(4), struct.pack("=QQ", until_ns, 0))
        list(ring.consume())
        for sample in SAMPLES[:3]:
            session.infer(sample)
        return len(list(ring.consume()))


def test_a_watcher_that_died_is_told_nothing_after_its_time(instance: Instance) -> None:
    now = time.monotonic_ns()
    assert told_without_a_watch(instance, now + 60_000_000_000) == 3
    assert told_without_a_watch(instance, now) == 0
    assert told_without_a_watch(instance, 0) == 0


def test_who_stops_watching_has_the_kernel_stop(instance: Instance) -> None:
    with instance.watch() as watch:
        list(watch.read(0))
    with Pins(instance.path) as pins, instance.session() as session, RingBuffer(pins.maps[abi.EVENTS]) as ring:
        session.infer(SAMPLES[0])
        assert list(ring.consume()) == []
        assert pins.maps[abi.WATCH].lookup(bytes(4)) == bytes(16)


def test_a_watch_asks_for_a_few_seconds_at_a_time(instance: Instance) -> None:
    with instance.watch() as watch, Pins(instance.path) as pins:
        for _ in range(2):
            until = struct.unpack("=QQ", pins.maps[abi.WATCH].lookup(bytes(4)) or b"")[0]
            assert 0 < until - time.monotonic_ns() <= 3_000_000_000
            time.sleep(1.1)
            list(watch.read(0))
            assert struct.unpack("=QQ", pins.maps[abi.WATCH].lookup(bytes(4)) or b"")[0] > until


def test_one_process_watches_at_a_time(instance: Instance) -> None:
    with instance.watch():
        assert is_locked(instance.path / LOCKS / "watch")
        with pytest.raises(SessionError, match=r"^instance 'one' is watched by another process, .*; end that first"):
            instance.watch()
    with instance.watch() as watch:
        assert list(watch.read(0)) == []


def test_what_comes_faster_than_it_is_read_is_counted(instance: Instance) -> None:
    most = ((1 << 16) - 1) // record_size(abi.EVENT.itemsize)  # the kernel never fills a ring to its last byte
    with instance.watch() as watch, instance.session() as session:
        slot = session.slot()
        for _ in range(most + 50):
            slot.run()
        told = len(list(watch.read()))
        assert told == most
        assert watch.lost == 50
        slot.run()
        assert len(list(watch.read())) == 1
    with instance.watch() as later:
        assert later.lost == 0


def test_an_instance_that_is_unloaded_ends_the_watch(instance: Instance) -> None:
    with instance.watch() as watch:
        instance.unload()
        with pytest.raises(SessionError, match=r"^instance 'one' was unloaded; `ebpfnn list` shows what is loaded$"):
            next(iter(watch))


def test_what_it_does_a_second(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    with instance.session() as session:
        monkeypatch.setattr(rates.time, "sleep", lambda seconds: [session.infer(sample) for sample in SAMPLES])
        found = instance.stats(0.5)
    assert found.answered * found.seconds == pytest.approx(len(SAMPLES))
    assert found.runs is not None
    assert found.runs * found.seconds >= len(SAMPLES) * 0.999
    assert found.mean_ns is not None
    assert found.mean_ns > 0
    assert found.uncounted == ""


def test_what_was_answered_is_told_without_cap_sys_admin(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise PermissionDenied("run statistics: BPF_ENABLE_STATS refused with EPERM; grant CAP_SYS_ADMIN", 1)

    monkeypatch.setattr(rates, "run_statistics", refused)
    monkeypatch.setattr(rates.figures, "counting", lambda: False)
    with instance.session() as session:
        monkeypatch.setattr(rates.time, "sleep", lambda seconds: session.infer(SAMPLES[0]))
        found = instance.stats()
    assert (found.runs, found.mean_ns, found.answered > 0) == (None, None, True)
    assert found.uncounted.endswith("grant CAP_SYS_ADMIN")


@contextmanager
def watching(store: Store, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`ebpfnn watch one ARGUMENTS`, once it watches."""
    command = [sys.executable, "-m", "ebpfnn", "watch", "one", *arguments]
    with subprocess.Popen(
        command, env=environment(store), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not is_locked(store.directory / "one" / LOCKS / "watch") and process.poll() is None:
                time.sleep(0.01)
            time.sleep(0.3)  # from the lock to the first look
            yield process
        finally:
            process.kill()


@pytest.fixture
def loaded(store: Store) -> Instance:
    return Instance.load(SMALL, RunTrigger(), name="one", store=store)


def infer(instance: Instance, count: int) -> None:
    with instance.session() as session:
        for sample in SAMPLES[:count]:
            session.infer(sample)


def test_the_verb_prints_one_object_a_line_and_ends_with_its_count(store: Store, loaded: Instance) -> None:
    with watching(store, "--json", "--count", "2") as process:
        infer(loaded, 3)
        printed, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, "")
    events = [json.loads(line) for line in printed.splitlines()]
    assert [event["index"] for event in events] == SCORES.argmax(axis=1)[:2].tolist()
    numbers = {"time_ns", "elapsed_ns", "source", "status", "index", "score", "score_scale", "value"}
    assert set(events[0]) == {*numbers, "label", "network"}
    assert events[0]["value"] is None  # its results are labels


def test_the_verb_prints_lines_until_it_is_interrupted(store: Store, loaded: Instance) -> None:
    with watching(store) as process:
        infer(loaded, 3)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.fullmatch(r"ebpfnn: one: 3 inferences in \d+\.\d s\n", complaints)
    label = SMALL.labels[int(SCORES[0].argmax())]
    assert re.fullmatch(rf"\d\d:\d\d:\d\d\.\d{{3}}  {label}  -?\d+\.\d\d  \d+\.\d\d µs  source \d+  {SMALL.name}\n", lines[0])


def test_the_verb_ends_when_its_instance_is_unloaded(store: Store, loaded: Instance) -> None:
    with watching(store) as process:
        loaded.unload()
        printed, complaints = process.communicate(timeout=60)
    assert (process.returncode, printed) == (1, "")
    assert complaints == "ebpfnn: instance 'one' was unloaded; `ebpfnn list` shows what is loaded\n"


def test_the_verb_says_who_is_in_its_way(store: Store, loaded: Instance) -> None:
    with loaded.watch():
        ran = ebpfnn(store, "watch", "one", "--seconds", "1")
    assert ran.returncode == 1
    assert (
        ran.stderr == "ebpfnn: instance 'one' is watched by another process, and only one can watch at a time; end that first\n"
    )
    assert ebpfnn(store, "watch", "onne").stderr == "ebpfnn: instance 'onne' is not loaded; did you mean 'one'?\n"


def test_the_verb_stats_prints_a_row_or_an_object(store: Store, loaded: Instance) -> None:
    ran = ebpfnn(store, "stats", "one", "--seconds", "0.1")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"^one +0\.\d +0\.0 +- +0\.0 *$", ran.stdout, re.MULTILINE)
    found = json.loads(ebpfnn(store, "stats", "one", "--seconds", "0.1", "--json").stdout)
    assert (found["instance"], found["answered"], found["runs"], found["uncounted"]) == ("one", 0.0, 0.0, "")
