"""Branches that skip the rows of blank groups: which groups are added without one, and which share one.

A row costs a few instructions, a mispredicted branch some 60. So groups that are now blank and now not have no branch, and
neighbors that are nearly always blank together, as at the border of an image, share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from . import cost

MOST_TOGETHER = 8
"""The most groups that share a branch."""


@dataclass(frozen=True)
class Run:
    """The groups ``start`` to ``end``, which are added one after the other; if ``asks``, not if all their numbers are 0."""

    start: int
    end: int
    asks: bool = False

    @property
    def size(self) -> int:
        return self.end - self.start


def no_branches(groups: int) -> tuple[Run, ...]:
    """One run of all groups."""
    return (Run(0, groups),) if groups else ()


def plan_branches(occupied: NDArray[np.bool_], row: float) -> tuple[Run, ...]:
    """The cheapest runs, for rows that cost ``row`` instructions, by samples, bool [n, groups], n >= 1.

    By dynamic programming: the cheapest way to add the groups up to each one.
    """
    groups = occupied.shape[1]
    best, before = [0.0] * (groups + 1), [(0, False)] * (groups + 1)
    for end in range(1, groups + 1):
        ways = [(best[end - 1] + row, (end - 1, False))]
        some = np.zeros(len(occupied), np.bool_)
        for start in range(end - 1, max(-1, end - 1 - MOST_TOGETHER), -1):
            some = some | occupied[:, start]
            ways.append((best[start] + cost.asked(float(some.mean()), row * (end - start)), (start, True)))
        best[end], before[end] = min(ways)
    return _joined(_followed(before, groups))


def price(runs: tuple[Run, ...], occupied: NDArray[np.bool_], row: float) -> float:
    """What ``runs`` cost on the samples, as :func:`plan_branches` counts."""
    shares = (float(occupied[:, run.start : run.end].any(axis=1).mean()) if run.asks else 1.0 for run in runs)
    costs = (cost.asked(share, row * run.size) if run.asks else row * run.size for share, run in zip(shares, runs, strict=True))
    return sum(costs)


def _followed(before: list[tuple[int, bool]], groups: int) -> list[Run]:
    runs, end = [], groups
    while end:
        start, asks = before[end]
        runs.append(Run(start, end, asks))
        end = start
    return runs[::-1]


def _joined(runs: list[Run]) -> tuple[Run, ...]:
    """Groups without a branch that follow each other are one run."""
    first = [number for number, run in enumerate(runs) if number == 0 or run.asks or runs[number - 1].asks]
    return tuple(Run(runs[a].start, runs[b - 1].end, runs[a].asks) for a, b in pairwise([*first, len(runs)]))
