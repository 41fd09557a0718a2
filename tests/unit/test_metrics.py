"""Metrics of instances that are made up: their names, their values, and that Prometheus would take them."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from guards import guard
from networks import random_network

from ebpfnn import abi
from ebpfnn.instance import Snapshot, Statistics
from ebpfnn.instance.about import describe
from ebpfnn.instance.snapshot import Braked, Fill

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ebpfnn.instance.enforcing import FOREVER
from ebpfnn.metrics.families import of_exporter, of_instances

ROOT = Path(__file__).parents[2]
LABELS = ("benign", 'scan "x"\n')
PLAIN = Snapshot(describe(random_network((9, 5, 3), seed=1), None, "run", None, {}), True, Statistics(None, None, 7, 2), 0, 3)
COUNTS = {name: 100 + number for number, name in enumerate(abi.COUNTED)}
ACTED = {
    "": dict.fromkeys(abi.REASONS, 0) | {"allowed": 40},
    "benign": dict.fromkeys(abi.REASONS, 0),
    LABELS[1]: dict(zip(abi.REASONS, (1, 2, 3, 4, 0), strict=True)),
}
_MADE = replace(
    describe(replace(guard(), labels=(*LABELS, "other")), None, "xdp", "eth0", {}),
    labels=LABELS,
    events=guard().events,
    guard={"action": "drop"},
)
GUARD = Snapshot(
    _MADE,
    False,
    Statistics(8, 250.0, 5, 0),
    2000,
    0,
    COUNTS,
    dict(zip(LABELS, (9, 6), strict=True)),
    {"states": Fill(12, 64), "guarded": Fill(None, 64)},
    Braked(FOREVER, False, ACTED, {"hit": 11}, {"told": 12, "suppressed": 13, "lost": 14}),
)
FOUND = {"plain": PLAIN, "guard": GUARD}


class Made:
    """Metrics as a collector gives them."""

    def collect(self) -> list[Metric]:
        return [*of_instances(FOUND), *of_exporter({"plain": True, "guard": True, "old": False}, {"old": 1}, True, 0.25)]


def samples(text: str) -> dict[str, float]:
    """The value of each sample, by its name and labels as they are written, read without the library that wrote them."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


@pytest.fixture(scope="module")
def text() -> str:
    return generate_latest(Made()).decode()


def test_every_value_is_where_it_belongs(text: str) -> None:
    found, scan = samples(text), 'label="scan \\"x\\"\\n",name="guard"'
    assert found['ebpfnn_inferences_total{name="plain"}'] == 7
    assert found['ebpfnn_inferences_total{name="guard"}'] == 5
    assert found['ebpfnn_swaps_total{name="plain"}'] == 2
    assert found['ebpfnn_watch_lost_total{name="plain"}'] == 3
    assert (found['ebpfnn_run_seconds_count{name="guard"}'], found['ebpfnn_run_seconds_sum{name="guard"}']) == (8, 2e-6)
    assert 'ebpfnn_run_seconds_count{name="plain"}' not in found
    assert found['ebpfnn_events_observed_total{name="guard"}'] == COUNTS["observed"]
    assert found['ebpfnn_rows_lost_total{name="guard"}'] == COUNTS["lost"]
    assert 'ebpfnn_events_observed_total{name="plain"}' not in found
    assert found[f"ebpfnn_verdicts_total{{{scan}}}"] == 6
    acted = {reason: found.get(f'ebpfnn_guard_events_total{{{scan},reason="{reason}"}}') for reason in abi.REASONS}
    assert acted == {"acted": 1, "audited": 2, "paused": 3, "capped": 4, "allowed": None}
    assert found['ebpfnn_guard_outcomes_total{name="guard",outcome="hit"}'] == 11
    assert found['ebpfnn_guard_alerts_total{name="guard",outcome="lost"}'] == 14
    assert found['ebpfnn_guard_events_total{label="",name="guard",reason="allowed"}'] == 40
    assert found['ebpfnn_map_entries{map="states",name="guard"}'] == 12
    assert 'ebpfnn_map_entries{map="guarded",name="guard"}' not in found
    assert found['ebpfnn_map_max_entries{map="guarded",name="guard"}'] == 64
    assert found['ebpfnn_instance_attached{name="guard"}'] == 0
    assert found['ebpfnn_instance_abi{name="old"}'] == 1
    assert found['ebpfnn_instance_readable{name="old"}'] == 0
    assert found["ebpfnn_abi"] == abi.VERSION
    info = 'action="drop",kind="network",name="guard",network="guard",target="eth0",trigger="xdp"'
    assert found[f"ebpfnn_instance_info{{{info}}}"] == 1


@pytest.mark.parametrize(
    ("until", "paused", "acting", "told"),
    [
        (0, False, 0, 0.0),
        (FOREVER, False, 1, math.inf),
        (FOREVER, True, 0, math.inf),
        (1, False, 0, None),
        (time.monotonic_ns() + 3600 * 10**9, False, 1, None),
    ],
)
def test_whether_a_guard_acts_and_until_when(until: int, paused: bool, acting: int, told: float | None) -> None:
    braked = replace(GUARD, guard=Braked(until, paused, ACTED, {}))
    one = {metric.name: metric.samples[0].value for metric in of_instances({"guard": braked}) if metric.samples}
    assert (one["ebpfnn_guard_acting"], one["ebpfnn_guard_paused"]) == (acting, paused)
    expected = time.time() + (until - time.monotonic_ns()) / 1e9 if told is None else told
    assert one["ebpfnn_guard_enforced_until_timestamp_seconds"] == pytest.approx(expected, abs=2)


def test_names_follow_the_conventions(text: str) -> None:
    """As promtool's linter wants them: prefix, base units, _total for counters alone, help that is a sentence."""
    families = list(text_string_to_metric_families(text))
    assert len({each.name for each in families}) == len(families) == text.count("# TYPE")
    for each in families:
        assert re.fullmatch(r"ebpfnn_[a-z]+(_[a-z]+)*", each.name)
        assert each.documentation.endswith(".")
        assert not each.name.endswith(("_count", "_sum", "_bucket", "_info_total"))
        assert not re.search(r"_(ns|ms|milliseconds|minutes|percent|kib)(_|$)", each.name)
        assert each.type in ("counter", "gauge", "summary")
        assert {label for sample in each.samples for label in sample.labels} <= {
            *("name", "label", "reason", "outcome", "map", "network", "kind", "trigger", "target", "action")
        }


def test_of_no_instance_all_metrics_are_there_without_a_value() -> None:
    none = [metric.name for metric in of_instances({})]
    assert none == [metric.name for metric in of_instances(FOUND)]
    assert not [sample for metric in of_instances({}) for sample in metric.samples]


def test_without_the_library_the_verb_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ModuleNotFoundError('gone', name='prometheus_client')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from ebpfnn.cli import main; main(['exporter', '--once'])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "ebpfnn: exporter: prometheus_client is not installed; pip install 'ebpfnn[exporter]'\n"


@pytest.mark.parametrize("listen", ["9464", ":9464", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:٣", "a:-1"])
def test_addresses_that_are_none(listen: str) -> None:
    from click.testing import CliRunner

    from ebpfnn.cli import main

    ran = CliRunner().invoke(main, ["exporter", "--listen", listen])
    assert ran.exit_code == 2
    assert "not ADDRESS:PORT; give one such as 127.0.0.1:9464 or [::1]:9464" in ran.stderr


def test_the_guide_tells_every_metric(text: str) -> None:
    told = set(re.findall(r"`(ebpfnn_\w+)`", (ROOT / "docs" / "operations.md").read_text()))
    families = {each.name for each in text_string_to_metric_families(text)}
    known = {re.split(r"[{ ]", name)[0] for name in samples(text)}
    assert told == known, told ^ known
    assert len(families) == len(known) - 1  # a summary has two
