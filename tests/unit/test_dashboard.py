"""The dashboard and the alert rules ask for metrics that the exporter has, with labels that they have."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from test_metrics import Made

ROOT = Path(__file__).parents[2]
DASHBOARD, ALERTS = ROOT / "examples" / "grafana.json", ROOT / "examples" / "alerts.yml"
METRIC = re.compile(r"(ebpfnn_\w+)(?:\{([^}]*)\})?")
OWN = {"source", "name", "__rate_interval", "__interval"}


@pytest.fixture(scope="module")
def offered() -> dict[str, set[str]]:
    """The labels of each metric that has a value in the exporter."""
    families = text_string_to_metric_families(generate_latest(Made()).decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def expressions(dashboard: dict[str, Any]) -> list[str]:
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [*panels, *(each["expr"] for each in dashboard["annotations"]["list"])]


def check(expression: str, offered: dict[str, set[str]]) -> set[str]:
    """Metrics that it asks for. Raises for one that is not there, for labels that it has not, and for a rate of a gauge."""
    found = METRIC.findall(expression)
    assert found, expression
    for metric, matchers in found:
        assert metric in offered, metric
        asked = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)
        assert set(asked) <= offered[metric], (metric, asked)
    rates = re.findall(r"(?:rate|changes)\((ebpfnn_\w+)", expression)
    assert all(metric.endswith(("_total", "_sum", "_count")) for metric in rates), expression
    for labels in re.findall(r"sum by \(([^)]*)\)", expression):
        assert all(set(re.findall(r"\w+", labels)) <= offered[metric] for metric, _ in found), expression
    return {metric for metric, _ in found}


def test_every_metric_of_the_dashboard_is_there(dashboard: dict[str, Any], offered: dict[str, set[str]]) -> None:
    asked = set().union(*(check(each, offered) for each in expressions(dashboard)))
    assert {"ebpfnn_guard_events_total", "ebpfnn_verdicts_total", "ebpfnn_guard_acting", "ebpfnn_map_entries"} <= asked
    (query,) = [each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
    assert label in offered[metric]


def test_what_is_wrong_in_an_expression_is_seen(offered: dict[str, set[str]]) -> None:
    for wrong in (
        "ebpfnn_verdict_total",
        'ebpfnn_verdicts_total{reason="acted"}',
        "rate(ebpfnn_guard_acting[5m])",
        "sum by (reason) (rate(ebpfnn_verdicts_total[5m]))",
        "up",
    ):
        with pytest.raises(AssertionError):
            check(wrong, offered)


def test_legends_name_labels_and_variables_are_declared(dashboard: dict[str, Any], offered: dict[str, set[str]]) -> None:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            labels = set.intersection(*(offered[metric] for metric, _ in METRIC.findall(target["expr"])))
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert used <= OWN
    assert {each["name"] for each in dashboard["templating"]["list"]} == {"source", "name"}


def test_its_identity_is_stable_and_it_is_what_the_tool_writes(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"] == "ebpfnn-guards"
    assert "id" not in dashboard, "which is that of one Grafana"
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
    found = importlib.util.spec_from_file_location("dashboard_tool", ROOT / "tools" / "dashboard.py")
    assert found
    assert found.loader
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    assert tool.dashboard() == dashboard


def test_every_metric_of_the_alerts_is_there(offered: dict[str, set[str]]) -> None:
    """Read by lines: YAML is not worth a dependency."""
    text = re.sub(r">-\n\s+(.*)\n\s+(.*)", r"\1 \2", ALERTS.read_text())
    rules = re.findall(
        r"- alert: (\w+)\n\s+expr: (.*)\n(?:\s+for: \d+m\n)?\s+labels: \{severity: \w+\}\n\s+annotations: ", text
    )
    assert len(rules) == text.count("- alert: ") >= 8
    for _, expression in rules:
        check(expression, offered)
    guide = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name, _ in rules] == re.findall(
        r"^\| `(\w+)` \|", guide.partition("### Alerts")[2].partition("\n## ")[0], re.M
    )
