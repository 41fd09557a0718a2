"""The output for one inferred sample: as text, as a label only, or as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import click
import numpy as np

from ..errors import InputError, printable
from ..network.cascades import one_unit
from ..plugin import Sample
from ..session.runner import Served
from .messages import complain

NONE = "none of these"
"""The label that is printed if no score leads by enough."""


@dataclass
class Report:
    """A sample and its result.

    ``label`` is an index. ``check`` says whether the reference gave the same result (None: not compared). ``guessed`` is set if
    another network than ``network`` may have answered, so that the scale of its scores is not known. ``elapsed_ns`` is None if
    the trigger does not measure it. ``top`` is the number of labels to print; no label is printed if the best score leads by
    less than ``min_margin`` logits. ``round_trip`` is the round-trip time in seconds, if the network is on another machine.
    ``stage`` is the number of the network of a cascade that decided, None if that is not known.
    """

    sample: Sample
    network: Served
    trigger: str
    label: int
    scores: tuple[int, ...]
    elapsed_ns: int | None
    target: str | None = None
    check: bool | None = None
    round_trip: float | None = None
    guessed: bool = False
    top: int = 1
    min_margin: float | None = None
    stage: int | None = None

    @property
    def scale(self) -> float | None:
        """The logit of a score of 1. None if the networks of a cascade have different ones, and which decided is not known."""
        scales = self.network.score_scales
        return one_unit(scales) if self.stage is None else scales[self.stage]

    @property
    def name(self) -> str:
        return NONE if self.is_undecided else self.network.labels[self.label]

    @property
    def values(self) -> tuple[float, ...]:
        """The scores times the score scale; none if results are labels. A value and an anomaly score are one."""
        unit = self.network.unit
        return () if unit is None else tuple(score * unit for score in self.scores)

    @property
    def is_undecided(self) -> bool:
        """Whether the best score leads by less than ``min_margin``."""
        return self.min_margin is not None and self.margin < self.min_margin

    @property
    def margin(self) -> float:
        """How many logits the best score leads the second one by. Raises :class:`InputError` if :attr:`scale` is None."""
        if self.scale is None:
            fact = f"{self.sample.source}: which network of the cascade '{self.network.name}' decided is not known"
            raise InputError(f"{fact}, nor the unit of its scores; leave out --min-margin")
        ordered = sorted(self.scores, reverse=True)
        return (ordered[0] - ordered[1]) * self.scale if len(ordered) > 1 else float("inf")

    @property
    def confidence(self) -> float | None:
        """The softmax of the logits at the label, 0..1: its weight against the others, not the probability that it is right.

        None if :attr:`scale` is.
        """
        return self.shares()[self.label]

    def shares(self) -> list[float] | list[None]:
        """The softmax of the logits, 0..1 for each label, each None if :attr:`scale` is."""
        if self.scale is None:
            return [None] * len(self.scores)
        highest, scale = max(self.scores), self.scale
        powers = [math.exp((score - highest) * scale) for score in self.scores]
        total = sum(powers)
        return [power / total for power in powers]

    def answers(self) -> list[tuple[str, float | None]]:
        """As :meth:`best`; only :data:`NONE` if no score leads by enough."""
        return [(NONE, self.confidence)] if self.is_undecided else self.best()

    def best(self) -> list[tuple[str, float | None]]:
        """The ``top`` labels with their shares, the best first. Of equal ones, the first label is first."""
        order = np.argsort(-np.asarray(self.scores, dtype=np.int64), kind="stable")[: self.top]
        shares = self.shares()
        return [(self.network.labels[index], shares[index]) for index in order]


def check_margin(network: Served, min_margin: float | None) -> None:
    """Raises :class:`click.UsageError` if there is a least margin, and ``network`` has no labels that could lead."""
    if min_margin is not None and network.unit is not None:
        fact = f"'{printable(network.name)}' gives numbers, and no label leads another"
        raise click.UsageError(f"{fact}; leave out --min-margin")


def as_text(report: Report, width: int) -> str:
    """``digit.png:  7   99.8%   0.82 µs in the kernel   inverted (dark on light)``, in columns; ``width`` is the source's.

    Values have their names in front, and no shares: ``row.csv:  price 12.5   0.82 µs in the kernel``.
    """
    labels = max(map(len, report.network.labels))
    checked = {None: [], True: ["matches the reference"], False: ["DIFFERS FROM THE REFERENCE"]}[report.check]
    back = "" if report.round_trip is None else f", {_duration(report.round_trip * 1e9)} there and back"
    columns = [
        f"{printable(report.sample.source) + ':':<{width + 1}}",
        *(_answers(report, labels)),
        f"{_in_kernel(report)}{back}",
        printable(", ".join([*checked, *report.sample.warnings, *report.sample.notes])),
    ]
    return "  ".join(columns).rstrip()


def _answers(report: Report, width: int) -> list[str]:
    if report.values:
        return [f"{name} {shown(value):<12}" for name, value in zip(report.network.labels, report.values, strict=True)]
    return [f"{name:<{width}}  {_percent(report, share)}" for name, share in report.answers()]


def shown(value: float) -> str:
    """A value, an anomaly score or a component, with six digits."""
    return f"{value:.6g}"


def _percent(report: Report, share: float | None) -> str:
    return " " * 6 if report.guessed or share is None else f"{share:6.1%}"


def _in_kernel(report: Report) -> str:
    if report.elapsed_ns is None:
        return f"time not measured by trigger {report.trigger}"
    return f"{_duration(report.elapsed_ns):>9} in the kernel"


def as_label(report: Report, _width: int) -> str:
    return "\t".join(map(shown, report.values) if report.values else (name for name, _ in report.answers()))


def warn(report: Report) -> None:
    """Prints the sample's warnings on standard error, for a layout without room for them."""
    for warning in report.sample.warnings:
        complain(f"{report.sample.source}: warning: {warning}")


def as_json(report: Report, _width: int) -> str:
    """One JSON object on one line. ``check`` is present if requested, ``round_trip_ns`` if there is a round trip.

    ``elapsed_ns`` is null if the trigger does not measure it. ``stage`` is present for a cascade of several units. If results
    are values or anomaly scores, there is ``value`` instead of ``confidence``, and the label is their name. Of vectors there
    are ``values``, named by ``labels``, and the label is null.
    """
    told: dict[str, object] = {
        "source": report.sample.source,
        "label": None if report.is_undecided or len(report.values) > 1 else report.name,
        "scores": report.scores,
        **_worth(report),
        "elapsed_ns": report.elapsed_ns,
        "trigger": report.trigger,
        "target": report.target,
        "model": None if report.guessed else report.network.name,
        "notes": [*report.sample.warnings, *report.sample.notes],
    }
    if report.top > 1 and not report.values:
        told["top"] = [{"label": name, "confidence": _rounded(share)} for name, share in report.best()]
    if report.min_margin is not None:
        told["margin"] = round(report.margin, 4)
    if len(set(report.network.score_scales)) > 1:
        told["stage"] = report.stage
    if report.round_trip is not None:
        told["round_trip_ns"] = round(report.round_trip * 1e9)
    if report.check is not None:
        told["check"] = report.check
    return json.dumps(told)


def _worth(report: Report) -> dict[str, object]:
    result = report.network.result
    if len(report.values) > 1:
        return {"result": result, "labels": report.network.labels, "values": report.values}
    if report.values:
        return {"result": result, "value": report.values[0]}
    return {"confidence": None if report.guessed else _rounded(report.confidence)}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _duration(ns: float) -> str:
    return f"{ns / 1000:.2f} µs" if ns < 1_000_000 else f"{ns / 1_000_000:.2f} ms"
