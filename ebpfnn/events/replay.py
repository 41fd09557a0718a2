"""The twin of what runs in the kernel: from the fields of events to rows. docs/events.md defines every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError, nearest
from ..preparation.columns import Column
from ..preparation.columns import inputs as sample_size
from . import keys
from .bound import Bound, BoundColumn, Derived, Use
from .conditions import predicate, source_name
from .lookup import DERIVED, TIME
from .spec import LAST_NUMBER

Event = tuple[int | str, Mapping[str, int]]
"""The index or name of an event, and its fields."""
_NUMBER, _GAP, _AGE, _REPLY = (str(each.value[0]) for each in (Derived.NUMBER, Derived.GAP, Derived.AGE, Derived.REPLY))
_Value = Callable[[Mapping[str, int]], int]
_Update = Callable[[Mapping[str, int], list[list[int]], int], None]
_Check = Callable[[Mapping[str, int]], bool]


class Result(NamedTuple):
    """A row: the bytes of its key, the number and the time (ns) of its event, and the results, each below 2^64."""

    key: bytes
    number: int
    time: int
    results: tuple[int, ...]


class State:
    """What is kept of a key. ``words`` has the words of each column's reducer."""

    __slots__ = ("first", "inferred", "last", "number", "side", "words")

    def __init__(self, time: int, side: bool, words: Iterable[int]) -> None:
        self.number = 0
        self.first = self.last = self.inferred = time
        self.side = side
        self.words = [[0] * count for count in words]


class Replay:
    """Observes events one after another. ``states`` has the state of each key, the one that was used last at the end.

    A map that is full behaves as docs/events.md says: ``lru`` drops the state that has not been used for longest, where the
    kernel comes close to that, and ``hash`` observes no events of new keys.
    """

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self.states: dict[bytes, State] = {}
        self._events = [_Observer(bound, index) for index in range(len(bound.events))]
        self._index = {event.name: index for index, event in enumerate(bound.events)}
        self._words = [column.words for column in bound.columns]
        self._reads = [(column.reducer.read, column.options) for column in bound.columns]
        self._sided = bound.spec.key == keys.FLOW

    def observe(self, event: int | str, values: Mapping[str, int]) -> Result | None:
        """The row at this event, if there is one. ``event`` is its index or its name, ``values`` its fields by name.

        Raises :class:`InputError` for an event that the spec does not have, or that lacks a field.
        """
        observer = self._observer(event)
        try:
            if not observer.accepts(values):
                return None
            time, key = values[TIME], observer.key(values)
            side = self._sided and keys.from_lower(values)
            state = self._state(key, time, side)
            if state is None or state.number == LAST_NUMBER:
                return None
            now = _now(state, time, values, side)
            for update in observer.updates:
                update(now, state.words, time)
        except KeyError as error:
            raise InputError(f"event '{observer.name}' has no field {error}; give all that the spec uses") from None
        return self._result(observer, key, state, now)

    def _observer(self, event: int | str) -> _Observer:
        index = self._index.get(event, -1) if isinstance(event, str) else event
        if not 0 <= index < len(self._events):
            raise InputError(f"event {event!r} is not in the spec; its events: {', '.join(self._index)}")
        return self._events[index]

    def _state(self, key: bytes, time: int, side: bool) -> State | None:
        """The state of a key, a new one if it has none or was idle. None if there is no room."""
        spec = self.bound.spec.state
        state = self.states.pop(key, None) if spec.lru else self.states.get(key)
        if state is None:
            if len(self.states) >= spec.entries:
                if not spec.lru:
                    return None
                del self.states[next(iter(self.states))]
            state = State(time, side, self._words)
        elif spec.idle and time - state.last >= spec.idle:
            state = State(time, side, self._words)
        self.states[key] = state
        return state

    def _result(self, observer: _Observer, key: bytes, state: State, now: Mapping[str, int]) -> Result | None:
        result = None
        if observer.selects(state, now):
            state.inferred = now[TIME]
            each = zip(self._reads, state.words, strict=True)
            numbers = tuple(number for (read, options), words in each for number in read(words, options))
            result = Result(key, state.number, now[TIME], numbers)
        if observer.ends(now):
            del self.states[key]
        return result


def replay(bound: Bound, events: Iterable[Event]) -> Iterator[Result]:
    """The rows that ``events`` give, in order. Raises as :meth:`Replay.observe`."""
    twin = Replay(bound)
    for event, values in events:
        result = twin.observe(event, values)
        if result is not None:
            yield result


def samples(bound: Bound, columns: Sequence[Column], results: Iterable[Result]) -> NDArray[np.uint8]:
    """The samples of rows, uint8 [n, size]: one byte, or one bit of a thermometer, for each input of ``columns``.

    Raises :class:`ModelError` for a column that is no result of ``bound``.
    """
    places = {name: place for place, name in enumerate(bound.names)}
    for column in columns:
        if column.name not in places:
            remedy = nearest(column.name, places) or "; use the spec that the network was trained for"
            raise ModelError(f"spec '{bound.spec.name}' has no result '{column.name}'{remedy}")
    taken = [places[column.name] for column in columns]
    rows = [b"".join(map(Column.encoded, columns, [row.results[place] for place in taken])) for row in results]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), sample_size(columns))


class _Observer:
    """What happens at one kind of event."""

    def __init__(self, bound: Bound, index: int) -> None:
        event, at = bound.events[index], bound.spec.at
        self.name = event.name
        self.accepts = predicate(event.where)
        self.key = keys.packer(bound.spec.key, event.key)
        self.updates = [_update(place, column, index) for place, column in enumerate(bound.columns) if index in column.uses]
        self.ends: _Check = predicate(event.end) if event.end else _never
        self._when: _Check = predicate(event.when) if event.when else _never
        self._counts, self._at = frozenset(at.count), at

    def selects(self, state: State, now: Mapping[str, int]) -> bool:
        at = self._at
        return (
            at.always
            or state.number in self._counts
            or (at.every > 0 and state.number % at.every == 0)
            or (at.after > 0 and now[TIME] - state.inferred >= at.after)
            or self._when(now)
        )


def _never(values: Mapping[str, int]) -> bool:
    del values
    return False


def _now(state: State, time: int, values: Mapping[str, int], side: bool) -> Mapping[str, int]:
    """The fields and the derived ones at this event, which the state now has counted."""
    state.number += 1
    now = {
        **values,
        _NUMBER: state.number,
        _GAP: max(time - state.last, 0),
        _AGE: max(time - state.first, 0),
        _REPLY: int(side is not state.side),
    }
    state.last = time
    return now


def _update(place: int, column: BoundColumn, index: int) -> _Update:
    """Updates the words of one column, number ``place``."""
    use, step, options = column.uses[index], column.reducer.step, column.options
    value = _value(use, column)

    def update(now: Mapping[str, int], words: list[list[int]], time: int) -> None:
        step(words[place], value(now), time, options)

    if not use.when:
        return update
    holds = predicate(use.when)

    def updated_if(now: Mapping[str, int], words: list[list[int]], time: int) -> None:
        if holds(now):
            step(words[place], value(now), time, options)

    return updated_if


def _value(use: Use, column: BoundColumn) -> _Value:
    """The value of an event: not negative, shifted, then clipped."""
    shift, clip = column.shift, column.clip
    if use.source is None:
        one = _fitted(1, shift, clip)
        return lambda now: one
    name = source_name(use.source)
    signed = name not in DERIVED and getattr(use.source, "signed", False)
    if not (signed or shift or clip is not None):
        return lambda now: now[name]
    return lambda now: _fitted(now[name], shift, clip)


def _fitted(value: int, shift: int, clip: int | None) -> int:
    value = max(value, 0)
    value = value >> shift if shift >= 0 else value << -shift
    return value if clip is None else min(value, clip)
