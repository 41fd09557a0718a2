"""Another network in the place of the first, under whatever is attached."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from instances import ROOT, ebpfnn, environment
from networks import network, random_network, samples

from ebpfnn import Instance, abi
from ebpfnn.bodies import modelfile
from ebpfnn.errors import NotSupported, SessionError
from ebpfnn.instance import Store
from ebpfnn.instance.claims import SharedClaims
from ebpfnn.instance.pins import Pins
from ebpfnn.instance.session import InstanceSession
from ebpfnn.kernel import Map
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.preparation import Preparation
from ebpfnn.plugin import Plugins, Trigger, why_not
from ebpfnn.session.runner import Result, Runner

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SMALL, OTHER = random_network((9, 5, 3), seed=1), random_network((9, 4, 6, 3), seed=2)
SAMPLES = samples(9, seed=1)
TASK = ["run", "tracepoint", "raw_tracepoint", "kprobe", "uprobe", "fentry", "fexit", "perf"]
PROVOKED = [*TASK, "xdp", "tc", "cgroup_skb", "socket_filter"]
"""Triggers whose event can be provoked here, or whose program BPF_PROG_RUN runs, where they and the kernel have it."""

UNDER_LOAD = [
    name if name in ("tracepoint", "kprobe", "xdp") else pytest.param(name, marks=pytest.mark.slow)
    for name in PROVOKED
    if name != "perf"  # a timer's events take seconds
]
PROOFS = {"by the event itself ({0})", "by BPF_PROG_RUN of the program that is attached ({0})"}


@pytest.fixture(params=PROVOKED)
def trigger(request: pytest.FixtureRequest) -> Trigger:
    found = Plugins.installed().triggers.get(request.param)
    lack = f"no trigger '{request.param}' is installed" if found is None else why_not(found)
    if found is None or lack:
        pytest.skip(lack or "")
    return found


def test_a_swap_shows_at_the_next_event_and_its_name_with_it(trigger: Trigger, store: Store) -> None:
    instance = Instance.load(SMALL, trigger, name="one")
    with instance.session() as session:
        for count, served in enumerate([SMALL, OTHER, SMALL, OTHER]):
            if count:
                assert instance.swap(served) in {proof.format(trigger.name) for proof in PROOFS}
            for sample, scores in zip(SAMPLES, reference.scores(served, SAMPLES), strict=True):
                assert session.infer(sample).scores.tolist() == scores.tolist()
            assert session.network.architecture == served.architecture
            assert instance.about().architecture == served.architecture
    assert instance.statistics().swaps == 3


FORMS = [
    pytest.param((word,) if word else (), id=word or "text", marks=[pytest.mark.slow] * bool(word))
    for word in ("", "--json", "--quiet")
]
"""What is printed on one line or another is the same under every kernel."""


@pytest.mark.parametrize("arguments", FORMS)
def test_an_infer_that_runs_has_labels_of_the_network_that_answers(store: Store, arguments: tuple[str, ...]) -> None:
    former = random_network("784-4-3", 1, (28, 28))
    renamed = replace(random_network("784-4-3", 2, (28, 28)), name="renamed", labels=("cat", "dog", "eel"))
    image = (ROOT / "tests/data/digits/7.png").read_bytes()
    command = [sys.executable, "-m", "ebpfnn", "infer", "--instance", "one", *arguments]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Instance.load(former, RunTrigger(), name="one") as instance:
        with subprocess.Popen(command, env=environment(store), **pipes) as running:
            assert running.stdin
            assert running.stdout
            running.stdin.write(image)
            running.stdin.flush()
            first = running.stdout.readline().decode()
            instance.swap(renamed)
            rest, told = (stream.decode() for stream in running.communicate(image, timeout=60))
        with instance.session() as session:
            samples = np.zeros((1, 28, 28), np.uint8)
            assert session.infer_many(samples).scores.tolist() == reference.scores(renamed, samples).tolist()
    assert not any(label in first for label in renamed.labels)
    assert [label for label in renamed.labels if label in rest]
    swapped = "ebpfnn: instance 'one' was swapped: network 'renamed' answers from here on, not 'test'\n"
    assert told == ("" if "--quiet" in arguments else swapped)


def test_many_samples_are_answered_by_one_network(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    infer, left = InstanceSession.infer, [5]

    def swap_in_between(self: InstanceSession, sample: np.ndarray[Any, np.dtype[np.uint8]]) -> Result:
        left[0] -= 1
        if not left[0]:
            instance.swap(OTHER)
        return infer(self, sample)

    with Instance.load(SMALL, RunTrigger(), name="one") as instance, instance.session() as session:
        monkeypatch.setattr(InstanceSession, "infer", swap_in_between)
        assert session.infer_many(SAMPLES).scores.tolist() == reference.scores(OTHER, SAMPLES).tolist()
        assert session.network.architecture == OTHER.architecture


def test_a_proof_is_nobodys_inference(trigger: Trigger, store: Store) -> None:
    with Instance.load(SMALL, trigger, name="one") as instance, instance.watch() as watch:
        assert instance.statistics().answered == 0
        instance.swap(OTHER)
        assert (list(watch.read()), watch.lost) == ([], 0)
        assert instance.statistics().answered == 0
        with instance.session() as session:
            session.infer(SAMPLES[0])
            labels = [event.index for event in watch.read()]
            answered = instance.statistics().answered
        expected = int(reference.scores(OTHER, SAMPLES[:1]).argmax())
        assert expected in labels
        assert (labels, answered) == ([expected], 1) or trigger.name == "perf"  # its timer goes on
        counted = instance.statistics().answered
        instance.swap(SMALL)
        assert instance.statistics().answered == counted
        state = [name for name in instance.path.joinpath("state").iterdir() if name.name == "ebpfnn_packets"]
        for path in state:
            with Map.open(path) as packets:
                assert packets.lookup_percpu(bytes(4), np.uint64)[:, 0].sum() == counted


def test_who_was_killed_while_checking_leaves_a_slot_that_counts_again(store: Store) -> None:
    with Instance.load(SMALL, RunTrigger(), name="one") as instance:
        with instance.session() as session:
            session.infer(SAMPLES[0])
        with Pins(instance.path) as pins, pins.maps[abi.RESULTS].mmap() as memory:
            memory[7] |= 0xC0  # as a check leaves it
        assert instance.statistics().answered == 1
        with instance.session() as session, instance.watch() as watch:
            session.infer(SAMPLES[0])
            assert len(list(watch.read())) == 1
        assert instance.statistics().answered == 2


def test_who_ends_a_check_leaves_the_next_ones_mark(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that was given back can be another's, who checks too, before the session that had it is closed altogether."""
    instance = Instance.load(SMALL, RunTrigger(), name="one")
    give_back = SharedClaims.close

    def check(session: InstanceSession) -> None:
        with session.checking():
            session.infer(SAMPLES[0])

    def claimed_at_once(claims: SharedClaims) -> None:
        give_back(claims)
        monkeypatch.setattr(SharedClaims, "close", give_back)
        other.submit(check, next_one).result()

    with InstanceSession(instance.path, RunTrigger()) as next_one, ThreadPoolExecutor(1) as other:
        monkeypatch.setattr(SharedClaims, "close", claimed_at_once)
        with InstanceSession(instance.path, RunTrigger()) as session:
            check(session)
        other.submit(next_one.infer, SAMPLES[0]).result()
        assert instance.statistics().answered == 0
    instance.unload()


def test_a_swap_leaves_what_the_shell_counted(store: Store) -> None:
    instance = Instance.load(SMALL, Plugins.installed().trigger("xdp"), name="one")
    with Pins(instance.path) as pins, instance.session() as session:

        def answered() -> int:
            return int(pins.maps["ebpfnn_packets"].lookup_percpu(bytes(4), np.uint64)[:, 0].sum())

        for served in (OTHER, SMALL, OTHER):
            instance.swap(served)
            before = answered()
            session.infer(SAMPLES[0])
            assert answered() > before


@pytest.mark.parametrize("trigger", UNDER_LOAD, indirect=True)
def test_swaps_while_processes_infer(trigger: Trigger, store: Store, tmp_path: Path) -> None:
    """Small networks: a swap then takes little of the time that all share."""
    for number in range(2):
        modelfile.save(_named(random_network((9, 5, 3), seed=number), f"net{number}"), tmp_path / f"net{number}.safetensors")
    files = [str(path) for path in sorted(tmp_path.glob("*.safetensors"))]
    tool = [sys.executable, str(ROOT / "tools" / "swap_under_load.py"), "--trigger", trigger.name, "--networks", *files]
    limits = ["--processes", "3", "--inferences", "1000", "--rate", "50", "--swaps", "15"]
    ran = subprocess.run([*tool, *limits], env=environment(store), capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["lost"], found["mixed"], found["misnamed"]) == (0, 0, 0)
    assert sum(found["answered"].values()) + found["refused"] == found["inferences"] >= 3000
    assert len(found["answered"]) == 2
    assert found["swaps"] >= 15


def _named(made: QuantizedNetwork, name: str) -> QuantizedNetwork:
    return QuantizedNetwork(name, made.input, made.labels, made.layers)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (random_network((8, 5, 3), seed=1), "its input is 8 of 8 bits, and the instance's 9 of 8 bits"),
        (random_network((9, 5, 4), seed=1), "it has 4 labels, and the instance's callers read 3"),
        (
            network(SMALL.layers, InputFormat((3, 3))),
            "its input is 3x3 of 8 bits, and the instance's 9 of 8 bits",
        ),
        (
            network(SMALL.layers, InputFormat((9,), 4, tuple(range(11, 251, 16)), packed=True)),
            "its input is 9 of 4 bits packed, big-endian, at ",
        ),
    ],
    ids=["size", "labels", "shape", "bits"],
)
def test_a_network_that_does_not_fit_is_refused(other: QuantizedNetwork, reason: str, store: Store) -> None:
    instance = Instance.load(SMALL, RunTrigger(), name="one")
    with pytest.raises(NotSupported, match="cannot take the place of 'test' in instance 'one'") as caught:
        instance.swap(other)
    assert reason in str(caught.value)
    assert instance.statistics().swaps == 0


def test_packed_samples_of_other_thresholds_are_refused(store: Store) -> None:
    """Who packs a sample counts thresholds; who hands over pixels need not know them."""
    form = InputFormat((9,), 1, packed=True, value_thresholds=((9,),) * 9)
    other = replace(form, value_thresholds=((9,),) * 7 + ((8,), (9,)))
    instance = Instance.load(network(SMALL.layers, form), RunTrigger(), name="one")
    with pytest.raises(NotSupported, match=r"its input has value 7 packed at \[8\], and the instance's at \[9\]"):
        instance.swap(network(SMALL.layers, other))
    with pytest.raises(NotSupported, match=r"its input is 9 of 1 bits packed, big-endian, at \[9\], and the instance's"):
        instance.swap(network(SMALL.layers, InputFormat((9,), 1, (9,), packed=True)))
    plain = Instance.load(network(SMALL.layers, replace(form, packed=False)), RunTrigger(), name="two")
    plain.swap(network(SMALL.layers, replace(other, packed=False)))
    assert plain.statistics().swaps == 1


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("picture", {}, "its samples are prepared by 'picture', and the instance's by 'glyph'; load it as another instance"),
        ("glyph", {"ink": "dark"}, "its samples are prepared by 'glyph', with other options; load it as another instance"),
    ],
)
def test_another_preparation_is_refused(kind: str, options: dict[str, str], reason: str, store: Store) -> None:
    """Callers prepare samples for the network that they found: those of the next must be made in the same way."""

    def prepared(*preparation: Any) -> QuantizedNetwork:
        form = InputFormat((3, 3), prepared=Preparation(*preparation))
        return network(SMALL.layers, form)

    instance = Instance.load(prepared("glyph", {"ink": "light"}), RunTrigger(), name="one")
    with pytest.raises(NotSupported, match="cannot take the place of") as caught:
        instance.swap(prepared(kind, options))
    assert str(caught.value).endswith(reason)
    instance.swap(prepared("glyph", {"ink": "light"}))
    assert instance.statistics().swaps == 1


def test_a_network_of_more_memory_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpfnn.instance.loading.ROOM", 0)
    instance = Instance.load(SMALL, RunTrigger(), name="one")
    with pytest.raises(
        NotSupported, match=r"it needs [0-9]+ bytes per result, and the instance has [0-9]+; load it as another"
    ):
        instance.swap(random_network((9, 300, 3), seed=1))


def test_a_failed_proof_leaves_the_former_network(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = Instance.load(SMALL, TracepointTrigger(), name="one")
    infer = Runner.infer

    def wrong(self: Runner, sample: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Result:
        result = infer(self, sample)
        return Result(result.label, result.scores + 1, result.elapsed_ns)

    monkeypatch.setattr(Runner, "infer", wrong)
    with pytest.raises(SessionError, match="the scores in the kernel differ from the reference"):
        instance.swap(OTHER)
    monkeypatch.setattr(Runner, "infer", infer)
    assert instance.about().architecture == SMALL.architecture
    with instance.session() as session:
        assert session.infer(SAMPLES[0]).scores.tolist() == reference.scores(SMALL, SAMPLES[0]).tolist()


def test_the_verb(store: Store, tmp_path: Path) -> None:
    modelfile.save(OTHER, tmp_path / "other.safetensors")
    Instance.load(SMALL, TracepointTrigger(), name="one")
    ran = ebpfnn(store, "swap", "one", str(tmp_path / "other.safetensors"))
    assert ran.stdout == "one: test (9-4-6-3) is now in place; checked by the event itself (tracepoint)\n"
    ran = ebpfnn(store, "swap", "oen", str(tmp_path / "other.safetensors"))
    assert (ran.returncode, ran.stderr) == (1, "ebpfnn: instance 'oen' is not loaded; did you mean 'one'?\n")


@pytest.mark.parametrize("others", [(), ("two",)])
def test_a_swap_without_a_network_says_what_is_missing(others: tuple[str, ...], store: Store) -> None:
    for name in ("one", *others):
        Instance.load(SMALL, RunTrigger(), name=name)
    ran = ebpfnn(store, "swap", "one")
    told = "no network given for instance 'one'; use: ebpfnn swap one NAME|FILE; see 'ebpfnn swap --help'"
    assert (ran.returncode, ran.stderr) == (2, f"ebpfnn: {told}\n")
    ran = ebpfnn(store, "swap", "oen")
    assert (ran.returncode, ran.stderr.startswith("ebpfnn: network 'oen' not found")) == (1, True)


def test_a_check_sees_its_run_where_the_next_event_follows_at_once(store: Store) -> None:
    """A check changes one bit, and the next event changes it back: some of 500 runs fall between the two looks at it."""
    instance = Instance.load(SMALL, Plugins.installed().trigger("perf"), "cpu-clock:50000", name="one")
    with instance.session() as session, session.checking():
        for _ in range(500):
            assert session.infer(SAMPLES[0]).scores.tolist() == reference.scores(SMALL, SAMPLES[0]).tolist()
