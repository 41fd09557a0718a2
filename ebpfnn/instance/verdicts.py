"""The verdicts of an instance that observes events: what its map holds for each key, and what it tells a watcher."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .. import abi
from ..events.keyparts import decode, shown
from .about import About
from .pins import Pins

MOST = 1000
"""How many verdicts are listed if no other number is given."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a key. ``label`` is '' and ``index`` -1 if the network failed.

    ``key`` has the values of the key by name, ``shown`` is the same as collected data have it. ``margin`` is the highest score
    minus the second highest. ``time_ns`` is CLOCK_MONOTONIC of the event at which the network ran, ``number`` that of the
    event, counted in the state of its key. ``swaps`` is the number of swaps before the network that computed it.
    """

    key: Mapping[str, int | str]
    shown: str
    label: str
    index: int
    margin: int
    number: int
    swaps: int
    time_ns: int
    elapsed_ns: int


def read(about: About, key: bytes, data: bytes | memoryview) -> Verdict:
    """The verdict in the bytes of a :data:`ebpfnn.abi.VERDICT`."""
    found = np.frombuffer(data, abi.VERDICT, 1)[0]
    index, values = int(found["label"]) - 1, decode(about.parts, key)
    label = about.labels[index] if 0 <= index < len(about.labels) else ""
    numbers = (int(found[name]) for name in ("margin", "number", "network", "time_ns", "elapsed_ns"))
    return Verdict(values, shown(about.parts, values), label, index, *numbers)


def latest(pins: Pins, about: About, most: int = MOST, label: str | None = None) -> list[Verdict]:
    """The latest ``most`` verdicts of the map, the latest first; only those of ``label`` if it is given. The map may change."""
    found = (each for each in _all(pins, about) if label is None or each.label == label)
    return heapq.nlargest(most, found, key=lambda verdict: verdict.time_ns)


def _all(pins: Pins, about: About) -> Iterable[Verdict]:
    return (read(about, key, data) for key, data in pins.maps[abi.VERDICTS].lookup_batch())
