"""Connected components of a mask, found by runs: a row of a glyph has a few runs, however many pixels it has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
_Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Box:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``; ``bottom`` and ``right`` are exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def longer(self) -> int:
        return max(self.height, self.width)

    @property
    def area(self) -> int:
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def gap(self, other: Box) -> int:
        """The number of empty pixels between the boxes, in rows or columns, whichever is larger. 0 if they touch."""
        down = max(self.top, other.top) - min(self.bottom, other.bottom)
        across = max(self.left, other.left) - min(self.right, other.right)
        return max(down, across, 0)

    def sides_on_edge(self, shape: tuple[int, ...]) -> int:
        """The number of sides that lie on the edge of an array of ``shape``."""
        return (self.top == 0) + (self.left == 0) + (self.bottom == shape[0]) + (self.right == shape[1])

    def moved(self, down: int, across: int) -> Box:
        """The box moved by ``down`` rows and ``across`` columns."""
        return Box(self.top + down, self.left + across, self.bottom + down, self.right + across)

    def grown(self, by: int, shape: tuple[int, ...]) -> Box:
        """The box, larger by ``by`` pixels at each side, within an array of ``shape``."""
        ends = min(self.bottom + by, shape[0]), min(self.right + by, shape[1])
        return Box(max(self.top - by, 0), max(self.left - by, 0), *ends)

    def around(self, other: Box) -> Box:
        """The smallest box that contains both."""
        ends = max(self.bottom, other.bottom), max(self.right, other.right)
        return Box(min(self.top, other.top), min(self.left, other.left), *ends)


@dataclass(frozen=True)
class Components:
    """The 8-connected components of a mask, numbered from 0 in the order in which they begin, row by row."""

    shape: tuple[int, int]
    rows: _Indices
    starts: _Indices
    ends: _Indices
    labels: _Indices
    """For each run: its row, its first column, the column after its last, and its component."""

    @property
    def count(self) -> int:
        return int(self.labels.max()) + 1 if len(self.labels) else 0

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """The number of pixels of each component, int64 [count]."""
        lengths = (self.ends - self.starts).astype(np.float64)
        return np.bincount(self.labels, lengths, self.count).astype(np.int64)

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The bounding box of each component."""
        order = np.argsort(self.labels, kind="stable")
        first = np.flatnonzero(np.diff(self.labels[order], prepend=-1))
        if not len(first):
            return ()
        sides = (
            np.minimum.reduceat(self.rows[order], first),
            np.minimum.reduceat(self.starts[order], first),
            np.maximum.reduceat(self.rows[order], first) + 1,
            np.maximum.reduceat(self.ends[order], first),
        )
        return tuple(Box(*map(int, box)) for box in zip(*sides, strict=True))

    def mask(self, wanted: NDArray[np.bool_]) -> Mask:
        """The pixels, bool [rows, columns], of the components for which ``wanted``, bool [count], is true."""
        runs = wanted[self.labels]
        edges = np.zeros((self.shape[0], self.shape[1] + 1), np.int8)
        edges[self.rows[runs], self.starts[runs]] = 1
        edges[self.rows[runs], self.ends[runs]] = -1
        return np.cumsum(edges[:, :-1], axis=1, dtype=np.int8).astype(np.bool_)


def components(mask: Mask) -> Components:
    """The 8-connected components of ``mask``, bool [rows, columns]."""
    edged = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    edged[:, 1:-1] = mask
    steps = np.diff(edged, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    upper, lower = _touching(rows, starts, ends, mask.shape[1])
    return Components((mask.shape[0], mask.shape[1]), rows, starts, ends, _joined(len(rows), upper, lower))


def _touching(rows: _Indices, starts: _Indices, ends: _Indices, columns: int) -> tuple[_Indices, _Indices]:
    """The pairs of runs in adjacent rows that touch at a side or a corner.

    All rows are put one after the other on one line, with gaps between them, so that a single search finds all pairs.
    """
    pitch = columns + 2
    begin, end = rows * pitch + starts, rows * pitch + ends
    first = np.searchsorted(end, begin + pitch, side="left")
    last = np.searchsorted(begin, end + pitch, side="right")
    counts = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(rows)), counts)
    return upper, np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)


def _joined(runs: int, upper: _Indices, lower: _Indices) -> _Indices:
    """The component of each run: the lowest run that it is connected to, found by pointer jumping, then renumbered."""
    least = np.arange(runs)
    while True:
        high, low = least[upper], least[lower]
        if np.array_equal(high, low):
            return np.unique(least, return_inverse=True)[1].reshape(-1)
        np.minimum.at(least, np.maximum(high, low), np.minimum(high, low))
        while not np.array_equal(jumped := least[least], least):
            least = jumped
