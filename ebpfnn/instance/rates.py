"""Rates of an instance per second, counted for a while."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import KernelError
from ..kernel.inspect.stats import run_statistics
from . import figures
from .pins import Pins


@dataclass(frozen=True)
class Rates:
    """Rates over ``seconds``: ``runs`` of the attached program per second, for events of all processes, and ``answered``.

    ``mean_ns`` is the mean time of a run, None if nothing ran. ``runs`` is also None if the kernel did not count, for the
    reason in ``uncounted``.

    Of an instance that observes events, ``counts`` has what it counted by name (:data:`ebpfnn.abi.COUNTED`), and ``classes``
    its verdicts by label, per second; else both are empty. ``answered`` are its verdicts.
    """

    seconds: float
    runs: float | None
    mean_ns: float | None
    answered: float
    uncounted: str = ""
    counts: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Sample:
    time: float
    runs: int
    time_ns: int
    answered: int
    counts: Mapping[str, int]
    classes: Mapping[str, int]


def _sample(pins: Pins, labels: Sequence[str]) -> _Sample:
    runs, time_ns = figures.runs(pins)
    counts = figures.counts(pins) if pins.observes else {}
    classes = dict(zip(labels, figures.classes(pins, len(labels)), strict=True)) if pins.observes else {}
    return _Sample(time.monotonic(), runs, time_ns, figures.read(pins).answered, counts, classes)


def measure(path: Path, seconds: float) -> Rates:
    """Counts for ``seconds``. Meanwhile the kernel counts runs of every program, which costs about 20 ns per run.

    Raises :class:`~ebpfnn.errors.KernelError` if the instance may not be opened.
    """
    with ExitStack() as held:
        pins = held.enter_context(Pins(path))
        uncounted = ""
        try:
            held.enter_context(run_statistics())
        except KernelError as refusal:  # counting needs CAP_SYS_ADMIN; the answers can be counted without it
            uncounted = "" if figures.counting() else str(refusal)
        labels = pins.current()[1].labels
        before = _sample(pins, labels)
        time.sleep(seconds)
        after = _sample(pins, labels)
        passed, runs = after.time - before.time, after.runs - before.runs
        mean = (after.time_ns - before.time_ns) / runs if runs else None
        counted = None if uncounted else runs / passed
        return Rates(
            passed,
            counted,
            None if uncounted else mean,
            (after.answered - before.answered) / passed,
            uncounted,
            {name: (number - before.counts[name]) / passed for name, number in after.counts.items()},
            {label: (number - before.classes[label]) / passed for label, number in after.classes.items()},
        )
