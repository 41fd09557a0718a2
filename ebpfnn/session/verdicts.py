"""Verdicts on keys: what the map of an observer holds, and what it tells a watcher."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .. import abi
from ..events.keyparts import Part, decode, shown
from ..kernel import Map

Units = Mapping[int, float | None]
"""The value of a score of 1 by the number of swaps before the network; None, or absent, if it has none or it is not known."""

MOST = 1000
"""How many verdicts are listed if no other number is given."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a key. ``label`` is '' and ``index`` -1 if the network failed.

    ``key`` has the values of the key by name, ``shown`` is the same as collected data have it. ``margin`` is the highest score
    minus the second highest. ``time_ns`` is CLOCK_MONOTONIC of the event at which the network ran, ``number`` that of the
    event, counted in the state of its key. ``swaps`` is the number of swaps before the network that computed it.
    ``elapsed_ns`` is the time in the network, None if nobody watched: then it is not measured.

    If results are values or anomaly scores, ``margin`` is the score, and ``value`` the score times the score scale; None if the
    scale of the network that computed it is not known, since it was swapped twice since.
    """

    key: Mapping[str, int | str]
    shown: str
    label: str
    index: int
    margin: int
    number: int
    swaps: int
    time_ns: int
    elapsed_ns: int | None
    value: float | None = None


_NO_UNITS: Units = {}


def read(labels: Sequence[str], parts: Sequence[Part], key: bytes, data: bytes, units: Units = _NO_UNITS) -> Verdict:
    """The verdict in the bytes of a :data:`ebpfnn.abi.VERDICT`."""
    found = np.frombuffer(data, abi.VERDICT, 1)[0]
    index, values = int(found["label"]) - 1, decode(parts, key)
    label = labels[index] if 0 <= index < len(labels) else ""
    margin, number, swaps, at = (int(found[name]) for name in ("margin", "number", "network", "time_ns"))
    elapsed = int(found["elapsed_ns"]) or None
    unit = units.get(swaps) if label else None
    value = None if unit is None else margin * unit
    return Verdict(values, shown(parts, values), label, index, margin, number, swaps, at, elapsed, value)


def told(labels: Sequence[str], parts: Sequence[Part], record: bytes, units: Units = _NO_UNITS) -> Verdict:
    """The verdict in a record of the ring buffer for watchers: a :data:`ebpfnn.abi.VERDICT`, and the key."""
    size = abi.VERDICT.itemsize
    return read(labels, parts, record[size:], record[:size], units)


def latest(
    held: Map,
    labels: Sequence[str],
    parts: Sequence[Part],
    most: int = MOST,
    label: str | None = None,
    units: Units = _NO_UNITS,
) -> list[Verdict]:
    """The latest ``most`` verdicts of a map, the latest first; only those of ``label`` if it is given. The map may change."""
    every = (read(labels, parts, key, data, units) for key, data in held.lookup_batch())
    found = (each for each in every if label is None or each.label == label)
    return heapq.nlargest(most, found, key=lambda verdict: verdict.time_ns)


def counts(held: Map) -> dict[str, int]:
    """What observers counted, at all events of the spec and on all CPUs: :data:`ebpfnn.abi.COUNTED` by name."""
    by_event = (held.lookup_percpu(event.to_bytes(4, "little"), abi.COUNT) for event in range(held.max_entries))
    totals = np.concatenate([each for each in by_event if each is not None])
    return {name: int(totals[name].sum()) for name in abi.COUNTED}
