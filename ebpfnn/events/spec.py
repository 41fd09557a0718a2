"""A spec: what is computed from the fields of events. docs/events.md defines every member and what it does.

These dataclasses are plain data. :mod:`ebpfnn.events.specfile` reads them from TOML, and :mod:`ebpfnn.events.bind` checks them
against the fields of events and the installed reducers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .refusal import Origin

Options = Mapping[str, Any]
_NONE: Options = MappingProxyType({})

DEFAULT_ENTRIES = 1 << 16
MOST_ENTRIES = 1 << 22
MOST_EVENTS, MOST_COLUMNS, MOST_RESULTS, MOST_COUNTS, MOST_CONDITIONS = 16, 256, 512, 16, 64
MOST_KEY_BYTES, MOST_STATE_WORDS = 40, 480
LAST_NUMBER = (1 << 32) - 1
"""A state whose number is this one is not changed any more, so that no sum of 32-bit values can overflow."""
LONGEST = 1 << 62
"""The longest duration, in nanoseconds."""


@dataclass(frozen=True)
class Condition:
    """``field operator value``. ``value`` is an int, for ``in`` and ``not in`` (address, prefix bits), for ``comm`` a text."""

    field: str
    operator: str
    value: int | tuple[int, int] | str


@dataclass(frozen=True)
class EventSpec:
    """One kind of event. ``name`` is what columns call it."""

    trigger: str
    target: str | None = None
    name: str = ""
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class StateSpec:
    """The map of the states. ``idle`` is in nanoseconds, 0 for never."""

    entries: int = DEFAULT_ENTRIES
    lru: bool = True
    locked: bool = False
    idle: int = 0


@dataclass(frozen=True)
class At:
    """The events that give a row. If all members are empty, every event does. ``after`` is in nanoseconds."""

    count: tuple[int, ...] = ()
    every: int = 0
    when: tuple[Condition, ...] = ()
    after: int = 0

    @property
    def always(self) -> bool:
        """Whether every event gives a row."""
        return not (self.count or self.every or self.when or self.after)


@dataclass(frozen=True)
class ColumnSpec:
    """A reducer over a field. ``options`` are the reducer's, ``encode`` those of :mod:`ebpfnn.preparation.columns` or empty."""

    name: str
    reduce: str
    of: str = ""
    shift: int = 0
    clip: int | None = None
    when: tuple[Condition, ...] = ()
    events: tuple[str, ...] = ()
    options: Options = field(default_factory=lambda: _NONE)
    encode: Options = field(default_factory=lambda: _NONE)


@dataclass(frozen=True)
class Spec:
    """Events, their key, the state of each key, when to infer, and the columns of a row.

    ``key`` is the name of a key, or a tuple of fields. ``origin`` is the file that it was read from, for messages.
    """

    name: str
    key: str | tuple[str, ...]
    events: tuple[EventSpec, ...]
    columns: tuple[ColumnSpec, ...]
    where: tuple[Condition, ...] = ()
    end: tuple[Condition, ...] = ()
    state: StateSpec = StateSpec()
    at: At = At()
    origin: Origin | None = field(default=None, compare=False, repr=False)
