"""How well one class is distinguished from all others, at every margin by which its score must lead."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

_MOST_POINTS = 200
"""The number of points of a curve in JSON and in a report."""


@dataclass(frozen=True)
class Detection:
    """The class ``positive`` against all others, by its margin: its score minus the highest other score, an integer.

    ``auc`` is the area under the ROC curve: how often the margin of a sample of the class exceeds that of another sample; ties
    count half. It is None if one of the two sets is empty. ``margin`` is the lowest margin that at most a share ``rate`` of the
    others reaches, None without others. At that margin there are ``false_positives`` among the others, and ``true_positives``
    in the class. ``curve`` has the shares of both, increasing.
    """

    positive: int
    positives: int
    negatives: int
    auc: float | None
    rate: float
    margin: int | None
    false_positives: int
    true_positives: int
    curve: list[tuple[float, float]]

    @property
    def recall(self) -> float | None:
        """The share of the class that is found with :attr:`margin`. None if there are no samples of it."""
        return self.true_positives / self.positives if self.positives and self.margin is not None else None


def detect(scores: NDArray[np.int32], truth: NDArray[np.intp], positive: int, rate: float) -> Detection:
    """``scores`` int32 [n, classes] of samples whose labels are ``truth``, [n]."""
    leads = leading(scores, positive)
    own, others = np.sort(leads[truth == positive]), np.sort(leads[truth != positive])
    margin = least_margin(others, rate)
    false = 0 if margin is None else len(others) - int(np.searchsorted(others, margin))
    true = 0 if margin is None else len(own) - int(np.searchsorted(own, margin))
    both = bool(len(own) and len(others))
    auc, curve = (area(own, others), _curve(own, others)) if both else (None, [])
    return Detection(positive, len(own), len(others), auc, rate, margin, false, true, curve)


def leading(scores: NDArray[np.int32], positive: int) -> NDArray[np.int64]:
    """How much the score of ``positive`` exceeds the highest other one, int64 [n]. 0 if there is only one class."""
    others = np.delete(scores.astype(np.int64), positive, axis=1)
    lead: NDArray[np.int64] = scores[:, positive] - others.max(axis=1) if others.size else np.zeros(len(scores), np.int64)
    return lead


def area(own: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """The area under the ROC curve from sorted margins, both not empty (Mann and Whitney's U over all pairs)."""
    below, upto = np.searchsorted(others, own, side="left").sum(), np.searchsorted(others, own, side="right").sum()
    return float(below + upto) / (2 * len(own) * len(others))


def least_margin(others: NDArray[np.int64], rate: float) -> int | None:
    """The lowest margin that at most a share ``rate`` of the sorted ``others`` reaches. None if there are no others."""
    if not len(others):
        return None
    allowed = min(floor(rate * len(others)), len(others))
    return int(others[0]) if allowed == len(others) else int(others[len(others) - 1 - allowed]) + 1


def _curve(own: NDArray[np.int64], others: NDArray[np.int64]) -> list[tuple[float, float]]:
    """Shares of false and of true positives, from no samples claimed to all."""
    margins = np.unique(np.concatenate([own, others]))[::-1]
    if len(margins) > _MOST_POINTS:  # more points where false positives are few
        margins = margins[np.unique(np.geomspace(1, len(margins), _MOST_POINTS).astype(np.intp) - 1)]
    false = 1 - np.searchsorted(others, margins) / len(others)
    true = 1 - np.searchsorted(own, margins) / len(own)
    return [(0.0, 0.0), *zip(false.tolist(), true.tolist(), strict=True)]
