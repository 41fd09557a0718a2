"""All counters and settings of an instance at one moment, read and not changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import abi
from ..session.guarding import Brakes
from . import figures
from .about import About
from .attached import is_attached
from .figures import Statistics
from .pins import Pins

_FILLED = {abi.STATES: "states", abi.VERDICTS: "verdicts", abi.GUARDED: "guarded"}
"""The maps whose elements come and go with keys, and what they are called."""

_OF_ALERTS = ("told", "suppressed", "lost")


@dataclass(frozen=True)
class Fill:
    """How full a map is: its ``entries``, None if there was no time to count them, of at most ``most``."""

    entries: int | None
    most: int


@dataclass(frozen=True)
class Braked:
    """The brakes of a guard and what it counted: see :class:`ebpfnn.session.guarding.Brakes`.

    ``alerts`` counts what it told of, kept back and lost; {} if its action tells of nothing.
    """

    until_ns: int
    paused: bool
    counts: Mapping[str, Mapping[str, int]]
    outcomes: Mapping[str, int]
    alerts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """An instance at one moment.

    ``run_ns`` is the time of ``statistics.runs`` runs, in ns. ``counts`` has what observers counted by name
    (:data:`ebpfnn.abi.COUNTED`), ``classes`` the verdicts by label, ``filled`` its maps by name; of an instance that callers
    give samples, all three are empty. ``lost`` counts what watchers missed. ``guard`` is None if it is no guard.
    """

    about: About
    attached: bool
    statistics: Statistics
    run_ns: int
    lost: int
    counts: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    filled: Mapping[str, Fill] = field(default_factory=dict)
    guard: Braked | None = None


def take(path: Path, seconds: float) -> Snapshot:
    """The instance at ``path``. Counting the elements of its maps stops after ``seconds``.

    Raises as :class:`~ebpfnn.instance.pins.Pins` does.
    """
    until = time.monotonic() + seconds
    with Pins(path) as pins, pins.in_place():
        _, about = pins.current()
        labels = about.labels
        return Snapshot(
            about,
            is_attached(path, about),
            figures.read(pins),
            figures.runs(pins)[1],
            _lost(pins),
            figures.counts(pins) if pins.observes else {},
            dict(zip(labels, figures.classes(pins, len(labels)), strict=True)) if pins.observes else {},
            {called: _fill(pins, name, until) for name, called in _FILLED.items() if name in pins.maps},
            _braked(pins, labels) if abi.CONTROL in pins.maps else None,
        )


def _lost(pins: Pins) -> int:
    found = pins.maps[abi.WATCH].lookup(bytes(4)) or b""
    return int(np.frombuffer(found, abi.WATCHED, 1)["lost"][0])


def _fill(pins: Pins, name: str, until: float) -> Fill:
    held = pins.maps[name]
    return Fill(held.count(until - time.monotonic()), held.max_entries)


def _braked(pins: Pins, labels: tuple[str, ...]) -> Braked:
    brakes = Brakes(pins.maps)
    return Braked(brakes.until_ns, brakes.paused, brakes.counts(labels), brakes.outcomes(), _alerts(pins))


def _alerts(pins: Pins) -> dict[str, int]:
    found = pins.maps[abi.ALERTED].lookup_percpu(bytes(4), abi.TOLD) if abi.ALERTED in pins.maps else None
    return {} if found is None else {name: int(found[name].sum()) for name in _OF_ALERTS}
