"""What an event costs: what is measured, compared and told, without a kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from networks import random_network

from ebpfnn.bench import event_measure, event_user
from ebpfnn.bench.event_case import AT_EACH, AT_FIRST, BOUNDS, Case, draw, event_of
from ebpfnn.bench.event_check import sequence
from ebpfnn.bench.event_frames import Tcp, candidates
from ebpfnn.bench.event_programs import ADDRESSES, alone, behind_shell, empty, fields_alone, flow, observing, to_ring
from ebpfnn.bench.event_rows import EventRow, above, record, row_of
from ebpfnn.bench.event_user import User
from ebpfnn.bench.kernel_rows import empty_body
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.cli.bench_event_tables import _comparisons
from ebpfnn.compiler import compile_network
from ebpfnn.errors import NotSupported
from ebpfnn.events import EventSpec, bind, build, describe
from ebpfnn.network import reference
from ebpfnn.network.events import carried
from ebpfnn.obj import build_image
from ebpfnn.plugin import Plugins
from ebpfnn.preparation.columns import preparer
from ebpfnn.preparation.items import Row


def case(key: str | tuple[str, ...] = "flow") -> Case:
    plugins = Plugins.installed()
    spec, trigger = flow(), plugins.trigger("xdp")
    if key != spec.key:  # which alone has replies
        spec = replace(spec, key=key, columns=tuple(column for column in spec.columns if column.name != "replies"))
    fields = {"xdp": trigger.observer().fields(None)}
    network, columns = draw(bind(spec, fields, plugins.reducers))
    return Case(spec, 0, trigger, fields, plugins.reducers, network, columns, drawn=True)


def test_the_spec_that_is_in_c_has_24_columns() -> None:
    """As the C has, and the budget is for."""
    assert len(case().bound(AT_EACH).names) == 24


def test_a_drawn_network_has_no_score_that_depends_on_few_inputs() -> None:
    found = case()
    given = preparer(found.columns)(Row({column.name: 4**7 for column in found.columns}))
    assert given.tolist() == [8 * 17] * 24
    scores = reference.scores(found.network, given[None])[0]
    moved = 0
    for place in range(24):
        other = given.copy()
        other[place] = 255
        moved += (reference.scores(found.network, other[None])[0] != scores).all()
    assert moved > 20


def test_the_field_that_keys_differ_by() -> None:
    varied = {key: case(key).varied for key in ("flow", "flow.directed", "source", "destination", ("source_port", "source"))}
    names = {key: field and field.name for key, field in varied.items()}
    assert list(names.values()) == ["source", "source", "source", "destination", "source"]


def test_every_program_is_whole() -> None:
    """Each links, and no function or map that it needs is missing."""
    found, body = case(), compile_network(case().network)
    made = [empty(found), empty(found, clocks=1), fields_alone(found), to_ring(empty_body(), replaying=True)]
    for at in (AT_FIRST, AT_EACH):
        for mask in (0, ADDRESSES):
            made += [
                observing(found, at, body, mask=mask),
                behind_shell(found, at, body, mask=mask),
                alone(at, body, mask=mask),
            ]
    for loading in made:
        image = build_image(loading.spec, loading.program)
        assert not image.unresolved
        assert {loading.verdicts, loading.clock} - {""} <= set(loading.spec.maps)
        assert list(loading.spec.programs) == [loading.program]


def test_variants_do_not_change_each_other() -> None:
    found, body = case(), empty_body()
    first = {name: spec.contents for name, spec in alone(AT_EACH, body).spec.maps.items()}
    alone(AT_FIRST, body, mask=ADDRESSES, replaying=True)
    assert {name: spec.contents for name, spec in alone(AT_EACH, body).spec.maps.items()} == first
    assert observing(found, AT_EACH, body).spec.functions != observing(found, AT_EACH, body, mask=4095).spec.functions


def test_packets() -> None:
    frames = list(candidates())
    assert len(set(frames)) == len(frames)
    assert all(len(frame) >= 54 - 20 for frame in frames)
    packet = Tcp(ports=(1, 2), payload=3).frame
    assert (len(packet), packet[12:14], packet[34:38]) == (57, b"\x08\0", b"\0\1\0\2")
    times = [each.time_ns for each in sequence(50)]
    assert times == sorted(times)
    assert sequence(50) == sequence(50)


def test_a_spec_without_packets_cannot_be_measured() -> None:
    spec = replace(flow(), events=(EventSpec("tracepoint", "sched:sched_switch", "sched_switch"),))
    with pytest.raises(
        NotSupported, match="spec 'flow-24': BPF_PROG_RUN does not run programs of trigger 'tracepoint'; give a"
    ):
        event_of(spec)
    assert event_of(replace(spec, events=(*spec.events, EventSpec("tc", None, "tc")))) == 1


ROWS = [
    EventRow("empty", "empty", "warm", "", rounds=[20, 30]),
    EventRow("cached", "empty", "warm", "", rounds=[90, 95]),
    EventRow("infer:no-body", "empty", "warm", "", rounds=[200]),
    EventRow("c-cached", "empty", "warm", "", exact=True, rounds=[100]),
    EventRow("cached", "empty", "cold", "", rounds=[900]),
    EventRow("veth-cached", "veth", "warm", "", rounds=[900]),
]


def test_rows_are_compared_with_the_empty_program_of_their_kind() -> None:
    assert [above(row, ROWS) for row in ROWS] == [0, 70, 180, 80, None, None]
    assert row_of(ROWS, "cached", "cold") is ROWS[4]
    told = record(ROWS[1], ROWS)
    assert list(told) == ["name", "cache", "ns_min", "ns_median", "above_empty", "exact", "told"]
    assert list(told.values()) == ["cached", "warm", 90, 92.5, 70, None, ""]


def test_the_budget_and_the_ratios_to_c() -> None:
    assert list(_comparisons(ROWS, 24)) == [
        "verdict kept: 70 ns above empty; the budget for 24 results is 70: met",
        "inference, without the network: 180 ns above empty; the budget for 24 results is 150: NOT met",
        "cached: 0.90 of c-cached",
    ]
    assert list(_comparisons(ROWS, 39)) == ["cached: 0.90 of c-cached"]
    assert list(_comparisons([], 24)) == []


def bench(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["bench", *arguments], prog_name="ebpfnn")


def test_mistakes(tmp_path: Path) -> None:
    modelfile.save(random_network((9, 3), 1), tmp_path / "plain.safetensors")
    plain = str(tmp_path / "plain.safetensors")
    for arguments, told in (
        (("--spec", "flw"), "spec 'flw' not found; did you mean 'flow'?"),
        (("--spec", "flow-24", "--plot", "a.svg"), "--plot does not go with --spec and --events"),
        (("--spec", "flow-24", "--events"), "give it or --spec"),
        (("--spec", "flow-24", "--model", plain, "--model", plain), "events are measured with one network"),
        (("--spec", "flow-24", "--model", plain), "network 'test' takes no rows, but samples of the kind 'raw'"),
        (("--events",), "--events: no --model is given"),
        (("--events", "--model", plain), "--events: network 'test' carries no spec"),
    ):
        ran = bench(*arguments)
        assert ran.exit_code in (1, 2), arguments
        assert told in ran.stderr
        assert "Traceback" not in ran.output


class Played(event_measure.EventBench):
    """Measures nothing."""

    def _load(self, body: object, held: object) -> None:
        self.names += [row.name for row in ROWS]
        self.rows += [replace(row, rounds=[]) for row in ROWS]

    def warm(self, rounds: object) -> None:
        for row, played in zip(self.rows, ROWS, strict=True):
            row.rounds += played.rounds


def test_a_model_that_carries_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = case()
    network = replace(found.network, name="mine", events=carried(describe(found.spec), "xdp", "generic"))
    modelfile.save(network, tmp_path / "mine.safetensors")
    monkeypatch.setattr("ebpfnn.cli.bench_events.EventBench", Played)
    monkeypatch.setattr(event_measure, "compile_here", lambda network, plugins: compile_network(network))
    ran = bench("--events", "--model", str(tmp_path / "mine.safetensors"), "--json")
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert (told["spec"], told["network"], told["drawn"], told["results"]) == ("flow-24", "mine", False, 24)
    assert [row["name"] for row in told["rows"]] == [row.name for row in ROWS]
    ran = bench("--spec", "flow-24", "--row", "nonesuch")
    assert "row 'nonesuch' does not exist; there are empty, cached" in ran.stderr
    text = bench("--spec", "flow-24").stdout
    assert "spec flow-24: 24 results, network drawn (24-16-2, random weights), warm caches: ns per event" in text
    assert build(network.events["spec"]) == flow()


needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")


@needs_cc
def test_the_c_for_user_space_is_clean() -> None:
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-fsyntax-only", f"-I{event_user.HEADERS}"]
    subprocess.run(["cc", *options, str(event_user.SOURCES / "flow_user.c")], check=True)


@needs_cc
def test_a_consumer_begins_with_nothing() -> None:
    from contextlib import ExitStack

    with ExitStack() as held:
        user = User(case(), held, at_first=False)
        assert (user.packets, user.verdicts()) == (0, {})


def test_user_space_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    event_user.library.cache_clear()
    with pytest.raises(NotSupported, match="there is no C compiler"):
        event_user.library()


def test_bounds_are_powers() -> None:
    assert np.array_equal(BOUNDS, 4 ** np.arange(15))
