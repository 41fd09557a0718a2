"""How well one class is told from all others, over every margin that its score may be asked to lead by."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

_MOST_POINTS = 200
"""Of a curve, as JSON and a page have it."""


@dataclass(frozen=True)
class Detection:
    """The class ``positive`` against all others, by its margin: its score less the best of the others, an integer.

    ``auc`` is the area under the ROC: how often the margin of a sample of the class exceeds that of another, ties by half; None
    where there are none to compare. ``margin`` is the least at which no more than ``rate`` of the others are claimed, None
    without others. It claims ``false_positives`` of the others, and ``true_positives`` of the class. ``curve`` has shares of
    both, rising.
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
        """The share of the class that is found with :attr:`margin`; None where there is none of it."""
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
    """By how much the score of ``positive`` exceeds the best of the others, int64 [n]; 0 where there is one class alone."""
    others = np.delete(scores.astype(np.int64), positive, axis=1)
    lead: NDArray[np.int64] = scores[:, positive] - others.max(axis=1) if others.size else np.zeros(len(scores), np.int64)
    return lead


def area(own: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """The area under the ROC from sorted margins, neither empty (Mann and Whitney's U over all pairs)."""
    below, upto = np.searchsorted(others, own, side="left").sum(), np.searchsorted(others, own, side="right").sum()
    return float(below + upto) / (2 * len(own) * len(others))


def least_margin(others: NDArray[np.int64], rate: float) -> int | None:
    """The least margin that no more than ``rate`` of the ``others``, sorted, reach; None where there are none."""
    if not len(others):
        return None
    allowed = min(floor(rate * len(others)), len(others))
    return int(others[0]) if allowed == len(others) else int(others[len(others) - 1 - allowed]) + 1


def _curve(own: NDArray[np.int64], others: NDArray[np.int64]) -> list[tuple[float, float]]:
    """Shares of false and of true positives, from none to all."""
    margins = np.unique(np.concatenate([own, others]))[::-1]
    if len(margins) > _MOST_POINTS:  # most of them where the false positives are few
        margins = margins[np.unique(np.geomspace(1, len(margins), _MOST_POINTS).astype(np.intp) - 1)]
    false = 1 - np.searchsorted(others, margins) / len(others)
    true = 1 - np.searchsorted(own, margins) / len(own)
    return [(0.0, 0.0), *zip(false.tolist(), true.tolist(), strict=True)]
