"""Writes the Grafana dashboard of the exporter's metrics: python tools/dashboard.py examples/grafana.json"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

UID = "ebpfnn-guards"
SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDTH, HEIGHT, COLUMNS = 8, 7, 3
CHOSEN = 'name=~"$name"'
# Title, unit, and the queries with their legends.
PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Guards that act", "short", ((f"ebpfnn_guard_acting{{{CHOSEN}}}", "{{name}}"),)),
    (
        "Seconds until audit",
        "s",
        ((f"clamp_min(ebpfnn_guard_enforced_until_timestamp_seconds{{{CHOSEN}}} - time(), 0)", "{{name}}"),),
    ),
    ("Paused", "short", ((f"ebpfnn_guard_paused{{{CHOSEN}}}", "{{name}}"),)),
    (
        "Events that guards decided on",
        "ops",
        ((f"sum by (name, reason) (rate(ebpfnn_guard_events_total{{{CHOSEN}}}[$__rate_interval]))", "{{name}} {{reason}}"),),
    ),
    (
        "Verdicts",
        "ops",
        ((f"sum by (name, label) (rate(ebpfnn_verdicts_total{{{CHOSEN}}}[$__rate_interval]))", "{{name}} {{label}}"),),
    ),
    (
        "Outcomes of actions on threads",
        "ops",
        (
            (
                f"sum by (name, outcome) (rate(ebpfnn_guard_outcomes_total{{{CHOSEN}}}[$__rate_interval]))",
                "{{name}} {{outcome}}",
            ),
        ),
    ),
    (
        "Events observed",
        "ops",
        ((f"rate(ebpfnn_events_observed_total{{{CHOSEN}}}[$__rate_interval])", "{{name}}"),),
    ),
    ("Inferences", "ops", ((f"rate(ebpfnn_inferences_total{{{CHOSEN}}}[$__rate_interval])", "{{name}}"),)),
    (
        "Mean time of a run",
        "s",
        (
            (
                f"rate(ebpfnn_run_seconds_sum{{{CHOSEN}}}[$__rate_interval])"
                f" / rate(ebpfnn_run_seconds_count{{{CHOSEN}}}[$__rate_interval])",
                "{{name}}",
            ),
        ),
    ),
    (
        "Maps, share that is full",
        "percentunit",
        ((f"ebpfnn_map_entries{{{CHOSEN}}} / ebpfnn_map_max_entries{{{CHOSEN}}}", "{{name}} {{map}}"),),
    ),
    (
        "Ignored, failed and lost",
        "ops",
        (
            (f"rate(ebpfnn_events_unstored_total{{{CHOSEN}}}[$__rate_interval])", "{{name}} unstored"),
            (f"rate(ebpfnn_events_frozen_total{{{CHOSEN}}}[$__rate_interval])", "{{name}} frozen"),
            (f"rate(ebpfnn_inferences_failed_total{{{CHOSEN}}}[$__rate_interval])", "{{name}} failed"),
            (f"rate(ebpfnn_rows_lost_total{{{CHOSEN}}}[$__rate_interval])", "{{name}} lost"),
        ),
    ),
    (
        "Attached, readable",
        "short",
        (
            (f"ebpfnn_instance_attached{{{CHOSEN}}}", "{{name}} attached"),
            (f"ebpfnn_instance_readable{{{CHOSEN}}}", "{{name}} readable"),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it. Panel ids and the uid are the same in every version."""
    name = {
        "name": "name",
        "label": "Instance",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(ebpfnn_instance_info, name)", "refId": "name"},
        "multi": True,
        "includeAll": True,
        "refresh": 2,
    }
    source = {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}
    swaps = {
        "name": "Swaps",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": f"changes(ebpfnn_swaps_total{{{CHOSEN}}}[$__interval]) > 0",
        "titleFormat": "swap of {{name}}",
    }
    return {
        "uid": UID,
        "title": "ebpfnn",
        "tags": ["ebpfnn"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [source, name]},
        "annotations": {"list": [swaps]},
        "panels": [_panel(number, *each) for number, each in enumerate(PANELS)],
    }


def _panel(number: int, title: str, unit: str, queries: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "title": title,
        "type": "timeseries",
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(queries)
        ],
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(dashboard(), indent=2) + "\n")
