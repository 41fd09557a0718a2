"""What all triggers have in common whose events happen in a thread, each at its default target."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from agreement import agree
from click.testing import CliRunner
from ebpfnn_plugins import task
from instances import names
from networks import random_network, samples

from ebpfnn import Instance, abi, doctor
from ebpfnn.cli import main
from ebpfnn.instance import Store
from ebpfnn.kernel import Object
from ebpfnn.network import reference
from ebpfnn.plugin import Plugins, Trigger, why_not
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here
from ebpfnn.session.loading import load

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
PROVOKED = ("tracepoint", "raw_tracepoint", "kprobe", "kretprobe", "uprobe", "fentry", "fexit", "lsm")
"""Triggers of which one call provokes one event."""
ALL = (*PROVOKED, "perf")
SMALL = random_network((9, 5, 3), seed=1)
OTHER = random_network((9, 5, 3), seed=2)
SAMPLES = samples(9, seed=1)


@pytest.fixture
def trigger(request: pytest.FixtureRequest) -> Trigger:
    found = Plugins.installed().trigger(request.param)
    lack = why_not(found)
    if lack:
        pytest.skip(f"trigger '{found.name}': {lack}")
    return found


every = pytest.mark.parametrize("trigger", ALL, indirect=True)
provoked = pytest.mark.parametrize("trigger", PROVOKED, indirect=True)


def sequence(loaded: Object, slot: int = 0) -> int:
    value = loaded.maps[abi.RESULTS].lookup(struct.pack("<I", slot))
    assert value is not None
    return int.from_bytes(value[:8], "little")


def call_of(trigger: Trigger) -> Callable[[], object]:
    """What provokes the trigger's default event."""
    assert isinstance(trigger, task.TaskTrigger)
    (call,) = task.calls_for(trigger.event(None))
    return call


@every
def test_it_runs_the_network(trigger: Trigger) -> None:
    with Session(SMALL, trigger) as session:
        agree(session, SAMPLES)


@provoked
def test_one_event_runs_the_network_once(trigger: Trigger) -> None:
    call = call_of(trigger)
    with Session(SMALL, trigger) as session:
        for number in range(1, 6):
            session.infer(SAMPLES[0])
            assert sequence(session.loaded) == number
        for number in range(6, 11):
            call()
            assert sequence(session.loaded) == number


@provoked
def test_other_threads_events_run_nothing(trigger: Trigger) -> None:
    call = call_of(trigger)
    with Session(SMALL, trigger) as session:
        call()
        assert sequence(session.loaded) == 0
        session.infer(SAMPLES[0])
        other = threading.Thread(target=call)
        other.start()
        other.join()
        assert sequence(session.loaded) == 1


@every
def test_threads_have_slots_of_their_own(trigger: Trigger) -> None:
    together = threading.Barrier(2)
    failures: list[BaseException] = []
    with Session(SMALL, trigger) as session:

        def work() -> None:
            try:
                session.slot()
                together.wait()
                agree(session, SAMPLES)
            except BaseException as fault:
                failures.append(fault)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert not failures
        assert all(sequence(session.loaded, slot) >= len(SAMPLES) for slot in range(2))


@every
def test_closing_detaches(trigger: Trigger) -> None:
    with load(SMALL, trigger, compile_here(SMALL)) as loaded:
        loaded.maps[abi.CALLERS].update(struct.pack("<I", threading.get_native_id()), bytes(4))
        with trigger.attach(loaded, None) as attachment:
            fire_until(attachment.fire, lambda: sequence(loaded) > 0)
        ended = sequence(loaded)
        for _ in range(20):
            attachment.fire(0)
        assert sequence(loaded) == ended


CHILD = """
import sys
from ebpfnn.bodies import modelfile
from ebpfnn.network import reference
from ebpfnn.plugin import Plugins
from ebpfnn.session import Session
from instances import names
from networks import random_network, samples

network, given = random_network((9, 5, 3), seed=1), samples(9, seed=1)
for name in sys.argv[1:]:
    with Session(network, Plugins.installed().trigger(name)) as session:
        for sample, scores in zip(given, reference.scores(network, given)):
            assert session.infer(sample).scores.tolist() == scores.tolist(), name
    print(name)
"""


def test_in_a_pid_namespace_of_its_own() -> None:
    """Where thread ids are not those that the kernel has for them, as in a container."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    found = Plugins.installed()
    usable = [name for name in ALL if why_not(found.trigger(name)) is None]
    paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), *sys.path]))
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", CHILD, *usable]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert (ran.stdout.split(), ran.stderr) == (usable, "")


@every
def test_doctor_and_plugins_tell_of_it(trigger: Trigger) -> None:
    (check,) = doctor.triggers([trigger])
    assert (check.name, check.state) == (f"trigger {trigger.name}", doctor.State.OK)
    rows = json.loads(CliRunner().invoke(main, ["plugins", "--json"]).stdout)["plugins"]
    (row,) = [row for row in rows if row["name"] == trigger.name]
    assert (row["kind"], row["reason"], row["summary"]) == ("trigger", None, trigger.summary)


@pytest.mark.parametrize("name", ALL)
def test_what_a_kernel_lacks_is_told_with_a_remedy(name: str) -> None:
    lack = why_not(Plugins.installed().trigger(name))
    assert lack is None or ("; " in lack and "\n" not in lack)


@every
def test_an_instance_stays_in_the_kernel_while_its_network_is_swapped(trigger: Trigger, store: Store) -> None:
    with Instance.load(SMALL, trigger, name="one") as instance:
        with instance.session() as session:
            for swaps, network in enumerate((SMALL, OTHER, SMALL)):
                if swaps:
                    instance.swap(network)
                for sample, scores in zip(SAMPLES, reference.scores(network, SAMPLES), strict=True):
                    assert session.infer(sample).scores.tolist() == scores.tolist()
        instance.unload()
    assert names(store) == set()


def fire_until(fire: Callable[[int], None], condition: Callable[[], bool]) -> None:
    for _ in range(1_000_000):
        fire(0)
        if condition():
            return
    raise AssertionError("a million calls, and no event")
