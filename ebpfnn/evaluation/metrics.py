"""Figures of merit from labels and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Labels = NDArray[np.intp]


@dataclass(frozen=True)
class ClassFigures:
    """One class: how many samples are of it, are taken for it, and both. A share of nothing is None."""

    label: str
    samples: int
    claimed: int
    correct: int

    @property
    def precision(self) -> float | None:
        """Of the samples taken for it, the share that are of it."""
        return self.correct / self.claimed if self.claimed else None

    @property
    def recall(self) -> float | None:
        """Of the samples of it, the share taken for it."""
        return self.correct / self.samples if self.samples else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        both = self.samples + self.claimed
        return 2 * self.correct / both if both else None

    @property
    def missed(self) -> int:
        """How many samples of it were taken for another."""
        return self.samples - self.correct

    @property
    def wrongly_claimed(self) -> int:
        """How many samples of others were taken for it."""
        return self.claimed - self.correct


def confusion(truth: _Labels, predicted: _Labels, classes: int) -> NDArray[np.int64]:
    """How often a sample of the row's class was taken for the column's, int64 [classes, classes]."""
    counts = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return counts.astype(np.int64).reshape(classes, classes)


def per_class(counts: NDArray[np.int64], labels: tuple[str, ...]) -> list[ClassFigures]:
    """The figures of each class from what :func:`confusion` gives."""
    rows, columns, correct = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    each = zip(labels, rows.tolist(), columns.tolist(), correct.tolist(), strict=True)
    return [ClassFigures(*figures) for figures in each]


def margins(scores: NDArray[Any], truth: _Labels) -> NDArray[np.float64]:
    """By how much the score of the true label exceeds the best of the others, float64 [n]; below 0 for a mistake.

    ``scores`` is [n, classes]. All is 0 where there is one class alone.
    """
    others = scores.astype(np.float64)
    if others.shape[1] == 1:
        return np.zeros(len(truth))
    rows = np.arange(len(truth))
    own = others[rows, truth]
    others[rows, truth] = -np.inf
    difference: NDArray[np.float64] = own - others.max(axis=1)
    return difference
