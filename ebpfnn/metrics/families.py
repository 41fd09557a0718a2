"""The metrics of instances: names, help and values. Names follow prometheus.io/docs/practices/naming.

The label is ``name``, since Prometheus gives ``instance`` another meaning.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric

from .. import abi
from ..instance import Snapshot
from ..instance.enforcing import FOREVER
from ..instance.figures import counting

_COUNTED = {
    "observed": ("ebpfnn_events_observed", "Events that the conditions of the spec accepted."),
    "created": ("ebpfnn_states_created", "States that were made for keys without one."),
    "restarted": ("ebpfnn_states_restarted", "States that began again after being idle."),
    "ended": ("ebpfnn_states_ended", "States that an event ended."),
    "unstored": ("ebpfnn_events_unstored", "Events and verdicts that were ignored because their map was full."),
    "frozen": ("ebpfnn_events_frozen", "Events that were ignored because their state had reached the last number."),
    "rows": ("ebpfnn_rows", "Rows that were computed."),
    "failed": ("ebpfnn_inferences_failed", "Rows for which the network gave no verdict."),
    "lost": ("ebpfnn_rows_lost", "Rows and records that were lost because the ring buffer was full."),
}
"""Metric and help of what observers count (:data:`ebpfnn.abi.COUNTED`); inferences are counted for every instance."""
_ACTED = "Events on which a guard decided: acted, would have acted but for audit, pause or cap, or kept out by the allow-list."
_UNTIL = "When the guard is in audit again, in seconds since 1970: 0 if it never acted, +Inf without a deadline."
Found = Mapping[str, Snapshot]


def of_instances(found: Found) -> Iterator[Metric]:
    """The metrics of every instance in ``found``, by name."""
    yield from _described(found)
    yield from _ran(found)
    yield from _observed(found)
    yield from _guards(found)


def of_exporter(readable: Mapping[str, bool], versions: Mapping[str, int], store: bool, seconds: float) -> Iterator[Metric]:
    """Which instances could be read, their ABI versions, whether they could be listed, and how long all of it took."""
    yield _gauge("ebpfnn_instance_readable", "Whether the exporter could read the instance.", readable)
    yield _gauge("ebpfnn_instance_abi", "The ABI version of the instance. Only those of ebpfnn_abi can be read.", versions)
    yield GaugeMetricFamily("ebpfnn_store_readable", "Whether the exporter could list the instances.", value=store)
    enabled = "Whether the kernel counts runs (sysctl kernel.bpf_stats_enabled): else ebpfnn_run_seconds is absent or stands."
    yield GaugeMetricFamily("ebpfnn_run_statistics_enabled", enabled, value=counting())
    yield GaugeMetricFamily("ebpfnn_abi", "The ABI version of the exporter's ebpfnn.", value=abi.VERSION)
    yield GaugeMetricFamily("ebpfnn_exporter_scrape_seconds", "Time that the exporter took for all instances.", value=seconds)


def _gauge(name: str, told: str, values: Mapping[str, float]) -> Metric:
    found = GaugeMetricFamily(name, told, labels=["name"])
    for instance, value in values.items():
        found.add_metric([instance], value)
    return found


def _counter(name: str, told: str, values: Mapping[str, float]) -> Metric:
    found = CounterMetricFamily(name, told, labels=["name"])
    for instance, value in values.items():
        found.add_metric([instance], value)
    return found


def _described(found: Found) -> Iterator[Metric]:
    labels = ("name", "network", "kind", "trigger", "target", "action")
    told = GaugeMetricFamily("ebpfnn_instance_info", "What is loaded: always 1.", labels=labels)
    for name, each in found.items():
        about = each.about
        action = str(about.guard.get("action", ""))
        told.add_metric([name, about.network, about.kind, about.trigger, about.target or "", action], 1)
    yield told
    attached = "Whether what the instance was attached to still exists."
    yield _gauge("ebpfnn_instance_attached", attached, {name: each.attached for name, each in found.items()})
    loaded = {name: datetime.fromisoformat(each.about.loaded).timestamp() for name, each in found.items()}
    yield _gauge("ebpfnn_loaded_timestamp_seconds", "When the network was loaded or swapped in, in seconds since 1970.", loaded)
    swaps = {name: each.statistics.swaps for name, each in found.items()}
    yield _counter("ebpfnn_swaps", "How often the network was replaced.", swaps)


def _ran(found: Found) -> Iterator[Metric]:
    answered = {name: each.statistics.answered for name, each in found.items()}
    yield _counter("ebpfnn_inferences", "Inferences and verdicts that were completed.", answered)
    lost = {name: each.lost for name, each in found.items()}
    yield _counter("ebpfnn_watch_lost", "Inferences and verdicts that watchers lost.", lost)
    told = "Runs of the attached programs, for events of all processes; counted while kernel.bpf_stats_enabled is 1."
    ran = SummaryMetricFamily("ebpfnn_run_seconds", told, labels=["name"])
    for name, each in found.items():
        if each.statistics.runs is not None:
            ran.add_metric([name], each.statistics.runs, each.run_ns / 1e9)
    yield ran


def _observed(found: Found) -> Iterator[Metric]:
    observing = {name: each for name, each in found.items() if each.about.observes}
    for counted, (metric, told) in _COUNTED.items():
        yield _counter(metric, told, {name: each.counts[counted] for name, each in observing.items()})
    verdicts = CounterMetricFamily("ebpfnn_verdicts", "Verdicts by label.", labels=["name", "label"])
    of_map = ["name", "map"]
    entries = GaugeMetricFamily("ebpfnn_map_entries", "Keys in a map; absent if there was no time to count.", labels=of_map)
    most = GaugeMetricFamily("ebpfnn_map_max_entries", "Keys that a map has room for.", labels=of_map)
    for name, each in observing.items():
        for label, count in each.classes.items():
            verdicts.add_metric([name, label], count)
        for called, fill in each.filled.items():
            most.add_metric([name, called], fill.most)
            if fill.entries is not None:
                entries.add_metric([name, called], fill.entries)
    yield from (verdicts, entries, most)


def _guards(found: Found) -> Iterator[Metric]:
    guards = {name: each.guard for name, each in found.items() if each.guard}
    acting = {name: each.until_ns > time.monotonic_ns() and not each.paused for name, each in guards.items()}
    yield _gauge("ebpfnn_guard_acting", "Whether the guard acts now: it is neither in audit nor paused.", acting)
    yield _gauge("ebpfnn_guard_paused", "Whether the guard is paused.", {name: each.paused for name, each in guards.items()})
    until = {name: _timestamp(each.until_ns) for name, each in guards.items()}
    yield _gauge("ebpfnn_guard_enforced_until_timestamp_seconds", _UNTIL, until)
    events = CounterMetricFamily("ebpfnn_guard_events", _ACTED, labels=["name", "label", "reason"])
    for name, each in guards.items():
        for label, reasons in each.counts.items():
            for reason, count in reasons.items():
                if (reason == "allowed") == (label == ""):  # the other ones are always 0
                    events.add_metric([name, label, reason], count)
    yield events
    told = "What became of the events of threads that a guard acted on."
    outcomes = CounterMetricFamily("ebpfnn_guard_outcomes", told, labels=["name", "outcome"])
    for name, each in guards.items():
        for outcome, count in each.outcomes.items():
            outcomes.add_metric([name, outcome], count)
    yield outcomes
    alerts = CounterMetricFamily(
        "ebpfnn_guard_alerts", "Events that a guard reported, or could not.", labels=["name", "outcome"]
    )
    for name, each in guards.items():
        for outcome, count in each.alerts.items():
            alerts.add_metric([name, outcome], count)
    yield alerts


def _timestamp(until_ns: int) -> float:
    """A time of CLOCK_MONOTONIC in seconds since 1970, rounded so that it stays the same from scrape to scrape."""
    if not until_ns:
        return 0
    return math.inf if until_ns >= FOREVER else round(time.time() + (until_ns - time.monotonic_ns()) / 1e9)
