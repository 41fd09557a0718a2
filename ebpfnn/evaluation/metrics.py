"""Metrics computed from labels and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Labels = NDArray[np.intp]


@dataclass(frozen=True)
class ClassFigures:
    """One class: the numbers of samples that are in it, that are predicted as it, and both. A ratio with divisor 0 is None."""

    label: str
    samples: int
    claimed: int
    correct: int

    @property
    def precision(self) -> float | None:
        """Of the samples predicted as this class, the share that are in it."""
        return self.correct / self.claimed if self.claimed else None

    @property
    def recall(self) -> float | None:
        """Of the samples in this class, the share predicted as it."""
        return self.correct / self.samples if self.samples else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        both = self.samples + self.claimed
        return 2 * self.correct / both if both else None

    @property
    def missed(self) -> int:
        """The number of samples in this class that were predicted as another one."""
        return self.samples - self.correct

    @property
    def wrongly_claimed(self) -> int:
        """The number of samples of other classes that were predicted as this one."""
        return self.claimed - self.correct


def confusion(truth: _Labels, predicted: _Labels, classes: int) -> NDArray[np.int64]:
    """How often a sample of the row's class was predicted as the column's, int64 [classes, classes]."""
    counts = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return counts.astype(np.int64).reshape(classes, classes)


def per_class(counts: NDArray[np.int64], labels: tuple[str, ...]) -> list[ClassFigures]:
    """The figures of each class from the matrix of :func:`confusion`."""
    rows, columns, correct = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    each = zip(labels, rows.tolist(), columns.tolist(), correct.tolist(), strict=True)
    return [ClassFigures(*figures) for figures in each]


def margins(scores: NDArray[Any], truth: _Labels) -> NDArray[np.float64]:
    """How much the score of the true label exceeds the highest other one, float64 [n]; below 0 for a mistake.

    ``scores`` is [n, classes]. All margins are 0 if there is only one class.
    """
    others = scores.astype(np.float64)
    if others.shape[1] == 1:
        return np.zeros(len(truth))
    rows = np.arange(len(truth))
    own = others[rows, truth]
    others[rows, truth] = -np.inf
    difference: NDArray[np.float64] = own - others.max(axis=1)
    return difference
