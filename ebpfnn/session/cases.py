"""The cases of a guard: the verdicts at which keys became due, as the kernel keeps them. docs/guards.md defines them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import abi
from ..errors import NotSupported
from ..events.keyparts import Part, decode, shown
from ..kernel import Map

MOST = 1000
"""The most cases that are told, and the number that is kept if there is room."""


_NO_OTHERS: Mapping[int, Sequence[str]] = MappingProxyType({})


class Held(NamedTuple):
    """A case. ``event`` is the index of its event, ``results`` has those of its row, ``label`` the number of its label plus 1.

    ``time`` is that of the event, ``swaps`` the number of swaps before its network, ``reason`` one of
    :data:`ebpfnn.abi.REASONS`: what became of the event.
    """

    event: int
    key: bytes
    number: int
    time: int
    results: tuple[int, ...]
    label: int
    margin: int
    swaps: int
    reason: str


@dataclass(frozen=True)
class Case:
    """A verdict at which a key became due, with what it was computed from.

    ``key`` has the values of the key by name, ``shown`` is the same as collected data have it. ``label`` is the verdict's, and
    ``index`` its number. ``margin`` is the highest score minus the second highest. ``reason`` says what became of the event:
    ``acted``, ``audited``, ``paused`` or ``capped``. ``event`` is the name of the event, ``number`` its number in the state of
    the key, ``time_ns`` its CLOCK_MONOTONIC. ``swaps`` is the number of swaps before the network that computed the verdict.
    ``columns`` has the results of the row by name, before they were encoded.
    """

    key: Mapping[str, int | str]
    shown: str
    label: str
    index: int
    margin: int
    reason: str
    event: str
    number: int
    swaps: int
    time_ns: int
    columns: Mapping[str, int]


def kept(maps: Mapping[str, Map]) -> int:
    """How many cases of each event can be read from each CPU: one less than there is room for, as one may be being written."""
    return maps[abi.CASES].max_entries // maps[abi.RECORDED].max_entries - 1


def read(maps: Mapping[str, Map], key_bytes: int, results: int, what: str = "the observer") -> list[Held]:
    """The cases that ``maps``, those of a guard by name, have of all events on all CPUs, the latest last.

    A key has ``key_bytes``, a row so many ``results``. Those that may be overwritten meanwhile are left out. Raises
    :class:`NotSupported` if there is no guard, which errors call ``what``.
    """
    if abi.CASES not in maps:
        raise NotSupported(f"{what} is no guard, since it was loaded without an action; load it with --action")
    row = [("head", abi.RECORD), ("key", np.uint8, (key_bytes,)), ("results", np.uint64, (results,)), ("case", abi.CASE)]
    held, recorded = maps[abi.CASES], maps[abi.RECORDED]
    found = [each for event in range(recorded.max_entries) for each in _of_event(held, recorded, event, np.dtype(row))]
    return sorted(found, key=lambda case: case.time)


def latest(
    maps: Mapping[str, Map],
    labels: Sequence[str],
    parts: Sequence[Part],
    events: Sequence[str],
    names: Sequence[str],
    most: int = MOST,
    what: str = "the observer",
    others: Mapping[int, Sequence[str]] = _NO_OTHERS,
) -> list[Case]:
    """The latest ``most`` cases, the latest first. ``events`` and ``names`` are those of the spec and of its results.

    ``others`` has other names of the results, by the number of swaps: a swap may rename columns. Raises as :func:`read`.
    """
    size = -(-sum(part.size for part in parts) // 8) * 8
    held = read(maps, size, len(names), what)[-most:]
    return [_told(each, labels, parts, events, others.get(each.swaps, names)) for each in reversed(held)]


def _told(held: Held, labels: Sequence[str], parts: Sequence[Part], events: Sequence[str], names: Sequence[str]) -> Case:
    values, index = decode(parts, held.key), held.label - 1
    label = labels[index] if 0 <= index < len(labels) else ""
    columns = dict(zip(names, held.results, strict=True))
    told = shown(parts, values)
    return Case(
        values,
        told,
        label,
        index,
        held.margin,
        held.reason,
        events[held.event],
        held.number,
        held.swaps,
        held.time,
        columns,
    )


def _of_event(held: Map, recorded: Map, event: int, layout: np.dtype[np.void]) -> Iterator[Held]:
    """In the order of each CPU. Case n is whole if it was counted before it was read, and none was begun in its place since."""
    each = held.max_entries // recorded.max_entries
    before = _counted(recorded, event)
    places = [_element(held, event * each + place, layout) for place in range(min(each, int(before.max(initial=0))))]
    after = _counted(recorded, event)
    for cpu, (first, last) in enumerate(zip(before.tolist(), after.tolist(), strict=True)):
        for number in range(max(0, last + 1 - each), first):
            yield _held(places[number % each][cpu])


def _counted(recorded: Map, event: int) -> NDArray[np.uint64]:
    return _element(recorded, event, np.dtype(np.uint64))


def _element(held: Map, index: int, layout: np.dtype[np.void] | np.dtype[np.uint64]) -> NDArray[np.uint64]:
    found = held.lookup_percpu(struct.pack("<I", index), layout)
    return np.zeros(0, layout) if found is None else found


def _held(found: np.void) -> Held:
    head, case = found["head"], found["case"]
    reason = abi.REASONS[int(case["reason"]) % len(abi.REASONS)]
    label, margin, swaps = (int(case[name]) for name in ("label", "margin", "network"))
    results = tuple(found["results"].tolist())
    return Held(
        int(head["event"]),
        found["key"].tobytes(),
        int(head["number"]),
        int(head["time_ns"]),
        results,
        label,
        margin,
        swaps,
        reason,
    )
