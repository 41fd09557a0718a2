"""What an event costs: every row runs, and the C gives the verdicts of the compiled spec."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ebpfnn import abi
from ebpfnn.bench import event_kernel, event_measure, event_programs, event_user, event_veth, measure
from ebpfnn.bench.event_case import AT_EACH, AT_FIRST, AT_NONE, Case, draw
from ebpfnn.bench.event_check import run_all, sequence
from ebpfnn.bench.event_frames import Tcp, candidates
from ebpfnn.bench.event_guards import GUARDS, guards
from ebpfnn.bench.event_kernel import check_frame
from ebpfnn.bench.event_measure import EventBench
from ebpfnn.bench.event_programs import Loading, alone, behind_shell, flow, observing
from ebpfnn.bench.event_user import check_ring
from ebpfnn.cli import main
from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.events import Condition, EventSpec, Spec, StateSpec, bind
from ebpfnn.events.spec import At
from ebpfnn.plugin import Plugins
from ebpfnn.session.compiling import compile_here
from ebpfnn.session.guarding import Brakes

pytestmark = pytest.mark.root
needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")


def case(spec: Spec | None = None) -> Case:
    plugins, spec = Plugins.installed(), spec or flow()
    trigger = plugins.trigger(spec.events[0].trigger)
    fields = {event.name: trigger.observer().fields(None) for event in spec.events}
    network, columns = draw(bind(spec, fields, plugins.reducers))
    return Case(spec, 0, trigger, fields, plugins.reducers, network, columns, drawn=True)


@pytest.mark.parametrize("at", [AT_EACH, AT_FIRST, flow().at], ids=["each", "first", "specified"])
def test_c_gives_the_verdicts_of_the_compiled_spec(at: At) -> None:
    found = case()
    body, packets = compile_here(found.network), sequence(150)
    expected = run_all(observing(found, at, body, replaying=True), packets)
    assert len(expected) == 5
    assert {verdict[1] for verdict in expected.values()} <= {1, 2}
    assert run_all(behind_shell(found, at, body, replaying=True), packets) == expected
    assert run_all(alone(at, body, replaying=True), packets) == expected


@needs_cc
def test_user_space_gives_the_verdicts_of_the_compiled_spec() -> None:
    found, packets = case(), sequence(150, seed=1)
    expected = run_all(observing(found, AT_EACH, compile_here(found.network), replaying=True), packets)
    assert check_ring(found, packets) == expected


def test_variants_do_what_they_say() -> None:
    """Counted in the kernel: inferences, and keys."""
    found, frame = case(), Tcp().frame
    body = compile_here(found.network)
    for at, mask, inferences, keys in (
        (AT_FIRST, 0, 1, 1),
        (AT_EACH, 0, 100, 1),
        (AT_NONE, 0, 0, 1),
        (AT_NONE, event_programs.ADDRESSES, 0, 100),
    ):
        loading = observing(found, at, body, mask=mask)
        with loading.load() as loaded:
            loaded.programs[loading.program].run(data=frame, repeat=100)
            counts = loaded.maps[abi.COUNTS].lookup_percpu(bytes(4), abi.COUNT)
            assert counts is not None
            assert (counts["observed"].sum(), counts["inferences"].sum(), counts["created"].sum()) == (100, inferences, keys)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_kernel, "LONG_NS", 100_000)
    monkeypatch.setattr(event_veth, "_BATCHES", 3)
    monkeypatch.setattr(measure, "_EVICTING", 1 << 20)


@pytest.mark.parametrize("trigger", ["xdp", "tc", "cgroup_skb"])
def test_guards_do_what_they_say(trigger: str) -> None:
    """Counted in the kernel: due packets, and what became of them; and what the program returns."""
    found, frame = case(replace(flow(), events=(EventSpec(trigger),))), Tcp().frame
    body = compile_here(found.network)
    expected = {"guard-spared": Counter(), "guard-audit": Counter(audited=9), "guard-drop": Counter(acted=9)}
    seen, returned = dict[str, Counter[str]](), dict[str, int]()
    for way in guards(found, body, frame, Plugins.installed()):
        with way.loading.load() as loaded:
            returned[way.name] = loaded.programs[way.loading.program].run(data=frame, repeat=9).return_value
            each = Brakes(loaded.maps).counts(found.network.labels).values()
            seen[way.name] = +sum(map(Counter, each), Counter[str]())
    assert seen == expected
    assert returned["guard-spared"] == returned["guard-audit"] != returned["guard-drop"]


@pytest.mark.usefixtures("short")
def test_a_guard_that_does_not_act_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_programs, "_FOREVER", 0)
    with pytest.raises(KernelError, match="row 'guard-drop': its program returned 2, not 1; report this"):
        EventBench(case(), ["guard-drop"])


@pytest.mark.usefixtures("short")
def test_every_row_is_measured() -> None:
    found = case(replace(flow(), state=StateSpec(entries=256)))
    with EventBench(found, by_hand=True) as bench:
        bench.warm(range(1))
        bench.cold(range(1))
        rows = bench.rows
    assert all(row.ns_min > 0 for row in rows)
    expected = {"empty", "fields", "cached", "infer", "infer:no-body", "new-key", "c-cached", "c-alone-infer", *GUARDS}
    assert expected <= {row.name for row in rows if row.cache == "cold"}
    assert {row.exact for row in rows if row.name.startswith("c-")} == {True}
    if shutil.which("cc"):
        assert {row.exact for row in rows if row.name.startswith(("ring-", "veth-socket-"))} == {True}
    names = [row.name for row in rows if row.cache == "warm"]
    assert len(names) == len(set(names))
    assert set(names) <= set(bench.names)
    if not bench.absent:
        assert set(names) == set(bench.names)
    network = f"ebpfnn-bench-{os.getpid()}"
    assert not Path(f"/run/netns/{network}").exists()


@pytest.mark.usefixtures("short")
def test_c_that_gives_other_verdicts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Callable[..., Loading] = event_programs.alone

    def other(at: At, *given: Any, **options: Any) -> Loading:
        return made(AT_FIRST, *given, **options)

    monkeypatch.setattr(event_programs, "alone", other)
    ran = CliRunner().invoke(
        main, ["bench", "--spec", "flow-24", "--rounds", "1", "--row", "c-alone-infer", "--row", "c-infer", "--json"]
    )
    rows = {row["name"]: row for row in json.loads(ran.stdout)["rows"]}
    assert (rows["c-alone-infer"]["exact"], rows["c-infer"]["exact"], rows["empty"]["exact"]) == (False, True, None)
    assert ran.exit_code == 1


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("trigger", ["tc", "cgroup_skb", "socket_filter"])
def test_other_triggers_and_specs(trigger: str, tmp_path: Path) -> None:
    text = f"""
name = "datagrams"
key = ["destination_port"]
where = ["protocol == 17"]
[[event]]
trigger = "{trigger}"
[[column]]
name = "lengths"
reduce = "mean"
of = "length"
"""
    (tmp_path / "datagrams.toml").write_text(text)
    ran = CliRunner().invoke(main, ["bench", "--spec", str(tmp_path / "datagrams.toml"), "--rounds", "1"])
    assert ran.exit_code == 0, ran.stderr
    assert "spec datagrams: 1 results, network drawn (1-16-2, random weights), warm caches: ns per event" in ran.stdout
    assert "no row c-*, ring-*, veth-*: they are for the spec 'flow-24' and a network of random weights" in ran.stdout


def test_a_spec_that_takes_no_packet() -> None:
    spec = replace(flow(), where=(Condition("destination_port", "==", 1),))
    found = case(spec)
    with pytest.raises(NotSupported, match="spec 'flow-24': its conditions accept none of the packets that are measured"):
        check_frame(found, compile_here(found.network), candidates())


@pytest.mark.usefixtures("short")
def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_given: Any) -> None:
        raise NotSupported("iproute2 is not installed; apt-get install iproute2")

    monkeypatch.setattr(event_measure, "Network", refused)
    ran = CliRunner().invoke(main, ["bench", "--spec", "flow-24", "--rounds", "1", "--row", "veth-cached"])
    assert ran.exit_code == 0, ran.stderr
    assert "no row veth-*: iproute2 is not installed; apt-get install iproute2" in ran.stdout


@pytest.fixture
def without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(event_user.shutil, "which", lambda name: None if name == "cc" else f"/usr/bin/{name}")
    event_user.library.cache_clear()
    yield
    event_user.library.cache_clear()


@pytest.mark.usefixtures("short", "without_a_compiler")
@pytest.mark.parametrize(
    ("only", "found", "lacking"),
    [
        (["infer"], ["empty", "infer"], []),
        (["c-infer"], ["empty", "c-infer"], []),
        (["ring-infer"], ["empty"], ["ring-*"]),
        (["infer", "veth", "veth-socket-infer"], ["empty", "infer"], ["veth-*"]),
        ([], None, ["ring-*", "veth-*"]),
    ],
)
def test_without_a_c_compiler_there_are_the_rows_that_need_none(
    only: list[str], found: list[str] | None, lacking: list[str]
) -> None:
    words = [word for name in only for word in ("--row", name)]
    ran = CliRunner().invoke(main, ["bench", "--spec", "flow-24", "--rounds", "1", "--json", *words])
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    names = [row["name"] for row in told["rows"]]
    assert names == found if found is not None else {"infer", "c-infer", "new-key"} < set(names)
    assert not any(name.startswith(("ring", "veth")) for name in names)
    assert told["absent"] == dict.fromkeys(lacking, "there is no C compiler; apt-get install gcc libc6-dev")
    assert all(row["exact"] is (True if row["name"].startswith("c-") else None) for row in told["rows"])


def test_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_given: Any, **_options: Any) -> None:
        raise NotSupported("no; yes")

    monkeypatch.setattr(event_measure.EventBench, "_compare", fails)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(NotSupported, match="no; yes"), ExitStack() as held:
        held.enter_context(EventBench(case(), ["veth-cached"], by_hand=True))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=False).stdout
    assert f"ebpfnn-bench-{os.getpid()}" not in listed


def test_sequences_end_and_begin_connections() -> None:
    frames = [packet.frame for packet in sequence(150)]
    flags = np.array([frame[47] for frame in frames])
    assert 5 < (flags & 1).sum() < 60
