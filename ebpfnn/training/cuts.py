"""Bounds of a column, from training values: where they separate the labels best, or at quantiles."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 1 << 12
"""Distinct values among which bounds are looked for; of more, quantiles. So many times the classes are held in memory."""

Values = NDArray[Any]
Labels = NDArray[np.intp]


def by_quantiles(values: Values, count: int) -> list[Any]:
    """At most ``count`` bounds, increasing, at quantiles of the distinct ``values``, [n] integers or finite floats."""
    distinct = np.unique(values)
    places = np.unique(np.arange(1, count + 1) * len(distinct) // (count + 1))
    return [_between(distinct, place) for place in places[places > 0].tolist()]


def by_labels(values: Values, labels: Labels, count: int) -> list[Any]:
    """At most ``count`` bounds, increasing: the thresholds of a decision tree of this column, grown where it gains most.

    Each split is the one, over all leaves, that reduces the entropy of ``labels`` most. ``labels`` is [n] counted from 0, and
    the entropy is weighted by the number of values in the leaf. A split leaves at least n / (2 count + 2) values on either
    side, so that it does not fit single rows. If no further split gains anything, there are fewer bounds.
    """
    distinct, places = np.unique(values, return_inverse=True)
    if len(distinct) > CANDIDATES:
        kept = np.unique(np.arange(CANDIDATES) * len(distinct) // CANDIDATES)
        places = np.searchsorted(kept, places, side="right") - 1
        starts = kept
    else:
        starts = np.arange(len(distinct))
    classes = int(labels.max()) + 1
    counts = np.bincount(places * classes + labels, minlength=len(starts) * classes).reshape(len(starts), classes)
    below = np.concatenate([np.zeros((1, classes), np.int64), np.cumsum(counts, axis=0)])
    found = sorted(_grown(below, count, max(1, len(values) // (2 * count + 2))))
    return [_between(distinct, int(starts[place])) for place in found]


def finest(values: Values, labels: Labels, count: int) -> list[Any]:
    """At most ``count`` bounds, increasing: between all distinct ``values`` where these are few, so that nothing is lost.

    Of more, those of :func:`by_labels`, and as many quantiles of the rows as there is room for: what does not separate the
    labels by itself may do so beside other columns.
    """
    distinct, numbers = np.unique(values, return_counts=True)
    if len(distinct) <= count + 1:
        return by_quantiles(values, count)
    found = by_labels(values, labels, count)
    below, room = np.cumsum(numbers), count - len(found)
    reached = np.arange(1, room + 1) * len(values) / (room + 1)
    places = np.unique(np.clip(np.searchsorted(below, reached, side="right"), 1, len(distinct) - 1))
    return sorted({*found, *(_between(distinct, place) for place in places.tolist())})


def _grown(below: NDArray[np.int64], count: int, least: int) -> list[int]:
    """The positions of the splits, the one with the highest gain first. ``below`` counts each class before each position."""
    found: list[int] = []
    leaves = [(*_best(below, 0, len(below) - 1, least), 0, len(below) - 1)]
    while leaves and len(found) < count:
        _, place, first, last = heapq.heappop(leaves)
        if not place:
            break
        found.append(place)
        for begin, end in ((first, place), (place, last)):
            heapq.heappush(leaves, (*_best(below, begin, end, least), begin, end))
    return found


def _best(below: NDArray[np.int64], first: int, last: int, least: int) -> tuple[float, int]:
    """The gain of the best split from ``first`` to ``last``, negated for a heap, and its position. (0, 0) if there is none."""
    if last - first < 2:
        return 0.0, 0
    left = below[first + 1 : last] - below[first]
    whole = below[last] - below[first]
    gains = _disorder(whole[None]) - _disorder(left) - _disorder(whole - left)
    sizes = left.sum(axis=1)
    gains[(sizes < least) | (whole.sum() - sizes < least)] = 0
    best = int(gains.argmax())
    return (-float(gains[best]), first + 1 + best) if gains[best] > _LEAST * whole.sum() else (0.0, 0)


_LEAST = 1e-9
"""Bits a value: a gain that is no more than rounding."""


def _disorder(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The entropy of each row of class counts, in bits, times the number of values in the row."""
    total = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(total, 1)
    bits: NDArray[np.float64] = -(counts * np.log2(np.where(counts > 0, shares, 1))).sum(axis=1)
    return bits


def _between(distinct: Values, place: int) -> Any:
    """A bound above ``distinct[place - 1]`` and not above ``distinct[place]``: halfway between them, rounded up."""
    low, high = distinct[place - 1].item(), distinct[place].item()
    if isinstance(high, int):
        return high - (high - low) // 2
    middle = low / 2 + high / 2
    return middle if low < middle <= high else high
