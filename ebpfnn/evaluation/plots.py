"""The numbers behind the plots of a report; its template draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .evaluate import Evaluation

BINS = 60


@dataclass(frozen=True)
class HeatCell:
    """A cell of the confusion matrix: its share of the row, and the intensity of its color, 0..1."""

    count: int
    share: float
    strength: float
    right: bool


def heat(counts: NDArray[np.int64]) -> list[list[HeatCell]]:
    """The cells for the matrix of :func:`metrics.confusion`. The color of mistakes is relative to the most common mistake."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, shares)
    stretched = wrong / max(float(wrong.max()), 1e-12)
    return [
        [
            HeatCell(int(count), float(share), float(share if row == column else stretched[row, column]), row == column)
            for column, (count, share) in enumerate(zip(*each, strict=True))
        ]
        for row, each in enumerate(zip(counts, shares, strict=True))
    ]


@dataclass(frozen=True)
class Histogram:
    """How many samples have a margin within each of ``BINS`` bins of ``low``..``high`` logits.

    ``floats`` is None if no float network was run.
    """

    low: float
    high: float
    integers: list[int]
    floats: list[int] | None

    def height(self, count: int) -> float:
        """The height of the bar for a count, 0..1. It is logarithmic, so that few mistakes are visible beside many hits."""
        return math.log1p(count) / math.log1p(max(1, *self.integers, *(self.floats or ())))

    def place(self, margin: float) -> float:
        """The horizontal position of a margin, 0..1."""
        return (margin - self.low) / (self.high - self.low)

    @property
    def counts(self) -> list[int]:
        """The counts that are marked on the vertical axis."""
        return [10**power for power in range(7) if self.height(10**power) <= 1]

    @property
    def ticks(self) -> list[float]:
        """Some round margins, including 0."""
        rough = (self.high - self.low) / 8
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough)
        return [step * number for number in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def margin_histogram(of: Evaluation) -> Histogram:
    """Histograms of the margins of integer and float scores, with the same bins. 0 is an edge; the outer bins hold outliers."""
    floats = None if of.logits is None else metrics.margins(of.logits, of.truth)
    every = of.margins if floats is None else np.concatenate([of.margins, floats])
    low, high = np.percentile(every, [0, 99.9])
    step = max(float(high - min(low, 0)) / (BINS - 1), 1e-9)
    first = int(np.floor(min(low, 0) / step))
    edges = np.arange(first, first + BINS + 1) * step

    def counted(margins: NDArray[np.float64]) -> list[int]:
        inside = np.clip(margins, edges[0], np.nextafter(edges[-1], edges[0]))
        return [int(count) for count in np.histogram(inside, edges)[0]]

    return Histogram(float(edges[0]), float(edges[-1]), counted(of.margins), None if floats is None else counted(floats))
