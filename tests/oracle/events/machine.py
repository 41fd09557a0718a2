"""Keys, states, rows: the rest of docs/events.md, *A spec*. A spec is the plain dict, as TOML gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import reducers
from .meaning import all_hold, has, nanoseconds

Values = Mapping[str, int]
Types = Mapping[str, str]
"""By name of a field, ``u8`` to ``s64``."""
_MOST = 2**32 - 1
_MAPPED = 2**48 - 2**32  # ::ffff:0.0.0.0


@dataclass
class State:
    """Of one key: all values and times that each column has had."""

    first: int
    last: int
    inferred: int
    side: int
    number: int = 0
    values: list[list[int]] = field(default_factory=list)
    times: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """What came of one event. ``row`` is None where there is none, ``number`` 0 where no state took the event."""

    key: bytes
    number: int = 0
    time: int = 0
    row: tuple[int, ...] | None = None
    created: bool = False
    restarted: bool = False
    ended: bool = False
    frozen: bool = False


class Machine:
    """All states of a spec. ``fields`` are the types of each event's fields, in the order of the spec's events."""

    def __init__(self, spec: Mapping[str, Any], fields: Sequence[Types]) -> None:
        self.spec, self.fields = spec, fields
        self.states: dict[bytes, State] = {}
        self.columns: list[Mapping[str, Any]] = spec["column"]
        self.at = spec.get("at", {})
        self.keep = spec.get("state", {})

    @property
    def names(self) -> list[str]:
        return [name for column in self.columns for name in reducers.names(column)]

    def observe(self, index: int, given: Values) -> Seen | None:
        """The event ``index`` with the values of its fields. None if it is ignored."""
        event = self.spec["event"][index]
        if not all_hold([*self.spec.get("where", ()), *event.get("where", ())], given):
            return None
        key, t = self.key(index, given), given["time"]
        state, created, restarted = self._state(key, given)
        if state is None:
            return Seen(key)
        if state.number == _MOST:
            return Seen(key, frozen=True)
        values = self._derive(state, given)
        for place, column in enumerate(self.columns):
            if self._counts(column, index, values):
                state.values[place].append(value(column, values))
                state.times[place].append(t)
        row = None
        if self._selects(state, values, t):
            row, state.inferred = self.row(state), t
        ended = self._fulfills(self.spec.get("end"), values)
        if ended:
            del self.states[key]
        return Seen(key, state.number, t, row, created, restarted, ended)

    def row(self, state: State) -> tuple[int, ...]:
        each = zip(self.columns, state.values, state.times, strict=True)
        return tuple(result for column, v, t in each for result in reducers.reduce(column, v, t))

    def _state(self, key: bytes, given: Values) -> tuple[State | None, bool, bool]:
        """The state of ``key``, whether it was created, and whether that was for idleness."""
        t, state = given["time"], self.states.get(key)
        idle = "idle" in self.keep and state is not None and since(state.last, t) >= nanoseconds(self.keep["idle"])
        if state is not None and not idle:
            return state, False, False
        if state is None and self.keep.get("map") == "hash" and len(self.states) >= self.keep.get("entries", 65_536):
            return None, False, False
        empty = [[] for _ in self.columns], [[] for _ in self.columns]
        self.states[key] = made = State(t, t, t, side(given) if self.spec["key"] == "flow" else 0, 0, *empty)
        return made, not idle, idle

    def _derive(self, state: State, given: Values) -> dict[str, int]:
        """The event's fields with the derived ones; ``number`` and ``last`` of the state become the event's."""
        t = given["time"]
        state.number += 1
        derived = {"number": state.number, "gap": since(state.last, t), "age": since(state.first, t)}
        if self.spec["key"] == "flow":
            derived["reply"] = int(side(given) != state.side)
        state.last = t
        return {**given, **derived}

    def _counts(self, column: Mapping[str, Any], index: int, values: Values) -> bool:
        only = column.get("event")
        names = [only] if isinstance(only, str) else only
        return (names is None or event_name(self.spec["event"][index]) in names) and all_hold(column.get("when", ()), values)

    def _fulfills(self, conditions: Sequence[str] | None, values: Values) -> bool:
        """Of ``at`` and ``end``: not if there are none, or if the event lacks one of the fields."""
        return bool(conditions) and all(has(each, values) for each in conditions or ()) and all_hold(conditions or (), values)

    def _selects(self, state: State, values: Values, t: int) -> bool:
        at = self.at
        return (
            not any(at.values())
            or state.number in at.get("count", ())
            or ("every" in at and state.number % at["every"] == 0)
            or self._fulfills(at.get("when"), values)
            or ("after" in at and since(state.inferred, t) >= nanoseconds(at["after"]))
        )

    def key(self, index: int, given: Values) -> bytes:
        return key_bytes(self.spec["key"], self.fields[index], given)


def since(earlier: int, t: int) -> int:
    return t - earlier if t >= earlier else 0


def event_name(event: Mapping[str, Any]) -> str:
    """The default: the target behind its last ``:`` or ``/``, or the trigger."""
    if "name" in event:
        return str(event["name"])
    return str(event.get("target", event["trigger"])).replace("/", ":").split(":")[-1]


def value(column: Mapping[str, Any], values: Values) -> int:
    """*v*"""
    found = max(0, values[column["of"]]) if "of" in column else 1
    shift = column.get("shift", 0)
    found = found // 2**shift if shift >= 0 else found * 2**-shift
    return min(found, column.get("clip", found))


def side(given: Values) -> int:
    """0 if the event's source is the lower end, or both are equal; else 1."""
    here, there = ends(given)
    return int(here > there)


def ends(given: Values) -> list[tuple[int, int, int]]:
    """Source and destination: the first 64 bits of the address, the last 64, the port."""
    return [(*address(given, which), given[f"{which}_port"]) for which in ("source", "destination")]


def address(given: Values, which: str) -> tuple[int, int]:
    if given["version"] == 4:
        return 0, _MAPPED + given[which]
    if given["version"] == 6:
        return given[f"{which}_high"], given[f"{which}_low"]
    return 0, 0


def key_bytes(key: str | Sequence[str], types: Types, given: Values) -> bytes:
    if not isinstance(key, str):
        made = b"".join((given[name] % 2**64).to_bytes(8, "little")[: int(types[name][1:]) // 8] for name in key)
    elif key in ("source", "destination"):
        made = _address_bytes(address(given, key))
    else:
        chosen = sorted(ends(given)) if key == "flow" else ends(given)
        addresses = b"".join(_address_bytes((high, low)) for high, low, _ in chosen)
        ports = b"".join(port.to_bytes(2, "little") for _, _, port in chosen)
        made = addresses + ports + given["protocol"].to_bytes(1, "little")
    return made + bytes(-len(made) % 8)


def _address_bytes(found: tuple[int, int]) -> bytes:
    return found[1].to_bytes(8, "little") + found[0].to_bytes(8, "little")
