"""What is told of each way to handle an event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

EMPTY, VETH = "empty", "veth"
"""The rows that others are compared with: an empty program by BPF_PROG_RUN, and one at a veth."""


@dataclass
class EventRow:
    """One way to handle events. ``rounds`` holds the mean ns an event of each round.

    ``base`` is the name of the empty program that is run in the same way. ``exact`` says whether every verdict on a sequence of
    packets was that of the compiled spec, None if that was not compared. ``told`` says what the row is.
    """

    name: str
    base: str
    cache: str
    told: str
    exact: bool | None = None
    rounds: list[float] = field(default_factory=list)

    @property
    def ns_min(self) -> float:
        return min(self.rounds)

    @property
    def ns_median(self) -> float:
        return median(self.rounds)


class EventRunner(ABC):
    """Handles the same packet over and over, in one way. ``base`` and ``told`` are as :class:`EventRow` has them."""

    name: str
    told: str
    base = EMPTY
    exact: bool | None = None

    @abstractmethod
    def warm(self) -> float:
        """Nanoseconds an event, of many without a pause."""

    def cold(self) -> float | None:
        """Nanoseconds of one event after a pause; None if it cannot be measured."""
        return None


def row_of(rows: Iterable[EventRow], name: str, cache: str = "warm") -> EventRow | None:
    return next((row for row in rows if (row.name, row.cache) == (name, cache)), None)


def above(row: EventRow, rows: Iterable[EventRow]) -> float | None:
    """How many ns the minimum of ``row`` is above that of its empty program. None if that was not measured."""
    base = row_of(rows, row.base, row.cache)
    return None if base is None else row.ns_min - base.ns_min


def record(row: EventRow, rows: Iterable[EventRow]) -> dict[str, str | float | bool | None]:
    """The row as plain data, for JSON."""
    return {
        "name": row.name,
        "cache": row.cache,
        "ns_min": row.ns_min,
        "ns_median": row.ns_median,
        "above_empty": above(row, rows),
        "exact": row.exact,
        "told": row.told,
    }
