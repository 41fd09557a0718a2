"""What is told of each row, and how rows compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

FIELDS = ("name", "network", "input", "cache", "ns_min", "ns_median", "exact", "agreement", "accuracy")
"""What a record has, in order."""


@dataclass
class Row:
    """One way to compute ``network`` over one kind of ``input`` ("sparse", "dense"), with a ``cache`` "warm" or "cold".

    ``rounds`` holds the mean ns an inference of each round. ``exact`` says whether every score and label was the
    reference's, None for a row in floats; ``agreement`` is the share of labels that were. ``accuracy`` is the share of labels
    that are right. Both are None where there is nothing to compare.
    """

    name: str
    network: str
    input: str
    cache: str = "warm"
    exact: bool | None = None
    agreement: float | None = None
    accuracy: float | None = None
    rounds: list[float] = field(default_factory=list)

    @property
    def ns_min(self) -> float:
        return min(self.rounds)

    @property
    def ns_median(self) -> float:
        return median(self.rounds)

    def record(self) -> dict[str, str | float | bool | None]:
        """The row as plain data, for JSON."""
        return {name: getattr(self, name) for name in FIELDS}


def baseline(rows: Iterable[Row], name: str, beside: Row) -> Row | None:
    """The row ``name`` over the same input and cache as ``beside``: that of its network, else of the first that has one."""
    found = [row for row in rows if (row.name, row.input, row.cache) == (name, beside.input, beside.cache)]
    return next((row for row in found if row.network == beside.network), found[0] if found else None)


def times_faster(row: Row, than: Row | None) -> float | None:
    """How many times less time ``row`` took at least than ``than`` did; None without one."""
    return None if than is None or not row.ns_min else than.ns_min / row.ns_min
