"""The maps of an observer. docs/events.md tells what is in them."""

from __future__ import annotations

from .. import abi
from ..events.bound import Bound
from ..obj import MapSpec, MapType
from ..obj.uapi import MMAPABLE, RDONLY_PROG
from .layout import Memory, state_bytes
from .mode import Mode
from .types import Types

BOUNDS = "ebpfnn_bounds"
"""The bounds of the encoders, each minus 1, s64."""


def maps_of(bound: Bound, mode: Mode, memory: Memory, types: Types, *, ring_bytes: int) -> dict[str, MapSpec]:
    """The maps, by name. ``ring_bytes`` is the size of the ring buffer of records and rows."""
    found = [_per_cpu(abi.SCRATCH, memory.size), _per_cpu(abi.COUNTS, abi.COUNT.itemsize, len(bound.events))]
    if mode is not Mode.VERDICTS:
        found.append(MapSpec(abi.ROWS, MapType.RINGBUF, 0, 0, ring_bytes))
    if mode is not Mode.RECORD:
        found.append(_states(bound, types))
    if mode is Mode.VERDICTS:
        entries = bound.spec.state.entries
        found.append(MapSpec(abi.VERDICTS, MapType.LRU_HASH, bound.key_bytes, abi.VERDICT.itemsize, entries))
        found.append(_per_cpu(abi.LABELS, 8, abi.MAX_SCORES))
        found.append(MapSpec(abi.WATCH, MapType.ARRAY, 4, abi.WATCHED.itemsize, 1, MMAPABLE))
        found.append(MapSpec(abi.EVENTS, MapType.RINGBUF, 0, 0, 1 << 16))
    return {each.name: each for each in found}


def maps_of_policy(bound: Bound, memory: Memory, cases: int) -> dict[str, MapSpec]:
    """The maps of a guard, by name. What is kept of keys is in a map of its own, so that new keys cannot displace it.

    ``cases`` are kept of each event on each CPU.
    """
    entries = bound.spec.state.entries
    found = [MapSpec(abi.GUARDED, MapType.LRU_HASH, bound.key_bytes, abi.KEPT.itemsize, entries)]
    found.append(MapSpec(abi.CONTROL, MapType.ARRAY, 4, abi.CONTROLLED.itemsize, 1, MMAPABLE))
    found.append(_per_cpu(abi.ACTIONS, abi.ACTED.itemsize, abi.MAX_SCORES + 1))
    found.append(_per_cpu(abi.WINDOW, abi.WINDOWED.itemsize))
    found.append(_per_cpu(abi.CASES, memory.case + abi.CASE.itemsize, len(bound.events) * cases))
    found.append(_per_cpu(abi.RECORDED, 8, len(bound.events)))
    return {each.name: each for each in found}


def table(contents: bytes) -> MapSpec:
    """:data:`BOUNDS`, which no program can change."""
    flags = MMAPABLE | RDONLY_PROG
    return MapSpec(BOUNDS, MapType.ARRAY, 4, len(contents), 1, flags, contents=contents, frozen=True)


def _states(bound: Bound, types: Types) -> MapSpec:
    state, size = bound.spec.state, state_bytes(bound)
    kind = MapType.LRU_HASH if state.lru else MapType.HASH
    key, value = types.locked_state(bound.key_bytes, size) if state.locked else (0, 0)
    return MapSpec(abi.STATES, kind, bound.key_bytes, size, state.entries, key_type_id=key, value_type_id=value)


def _per_cpu(name: str, size: int, entries: int = 1) -> MapSpec:
    return MapSpec(name, MapType.PERCPU_ARRAY, 4, size, entries)
