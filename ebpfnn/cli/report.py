"""What is told of one inferred sample: as text, as a bare label, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from ..plugin import Sample
from ..runner import Served
from .group import printable


@dataclass
class Report:
    """A sample and its result: ``label`` is an index, ``check`` whether the reference gave the same (None: not compared).

    ``guessed`` says that another network may have answered than ``network``, so that the scale of its scores is not known.
    ``round_trip`` is the time there and back, in seconds, where the network is on another machine.
    """

    sample: Sample
    network: Served
    trigger: str
    label: int
    scores: tuple[int, ...]
    elapsed_ns: int
    target: str | None = None
    check: bool | None = None
    round_trip: float | None = None
    guessed: bool = False

    @property
    def name(self) -> str:
        return self.network.labels[self.label]

    @property
    def confidence(self) -> float:
        """The softmax of the logits at the label, 0..1: its weight against the others, not how often the network is right."""
        logits = np.asarray(self.scores, dtype=np.float64) * self.network.score_scale
        return float(1 / np.exp(logits - logits[self.label]).sum())


def as_text(report: Report, width: int) -> str:
    """``digit.png:  7   99.8%   0.82 µs in the kernel   inverted (dark on light)``, in columns; ``width`` is the source's."""
    labels = max(map(len, report.network.labels))
    checked = {None: [], True: ["equals the reference"], False: ["DIFFERS FROM THE REFERENCE"]}[report.check]
    back = "" if report.round_trip is None else f", {_duration(report.round_trip * 1e9)} there and back"
    columns = [
        f"{printable(report.sample.source) + ':':<{width + 1}}",
        f"{report.name:<{labels}}",
        f"{report.confidence:6.1%}" if not report.guessed else " " * 6,
        f"{_duration(report.elapsed_ns) if report.elapsed_ns else '?':>9} in the kernel{back}",
        printable(", ".join([*checked, *report.sample.notes])),
    ]
    return "  ".join(columns).rstrip()


def as_label(report: Report, _width: int) -> str:
    return report.name


def as_json(report: Report, _width: int) -> str:
    """One object on one line; ``check`` is there where it was asked for, ``round_trip_ns`` where there was one."""
    told = {
        "source": report.sample.source,
        "label": report.name,
        "scores": report.scores,
        "confidence": None if report.guessed else round(report.confidence, 4),
        "elapsed_ns": report.elapsed_ns,
        "trigger": report.trigger,
        "target": report.target,
        "model": None if report.guessed else report.network.name,
        "notes": report.sample.notes,
    }
    if report.round_trip is not None:
        told["round_trip_ns"] = round(report.round_trip * 1e9)
    if report.check is not None:
        told["check"] = report.check
    return json.dumps(told)


def _duration(ns: float) -> str:
    return f"{ns / 1000:.2f} µs" if ns < 1_000_000 else f"{ns / 1_000_000:.2f} ms"
