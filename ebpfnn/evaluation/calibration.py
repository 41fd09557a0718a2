"""Chooses the margin from which verdicts count, so that few samples of one label are given another."""

from __future__ import annotations

from math import exp, lgamma, log

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..network.calibration import MOST_POINTS, Calibration, Point
from ..network.layers import INT32_MAX

_CONFIDENCE = 0.95
_Margins = NDArray[np.int64]


def calibrate(
    scores: NDArray[np.int32], truth: NDArray[np.intp], labels: tuple[str, ...], spared: str, wanted: float, groups: int
) -> Calibration:
    """The calibration by ``scores``, int32 [n, labels], of samples whose labels are ``truth``, [n].

    ``spared`` is the label whose samples must not be given another; at most the share ``wanted``, 0..1, of them may, with the
    margin that is chosen or more. ``groups`` is the number of groups that these samples are of.

    Raises :class:`InputError` if there are no samples of that label, or only of that one, and if no margin is high enough.
    """
    index = labels.index(spared)
    margins = strengths(scores, index)
    mine, others = margins[truth == index], margins[truth != index]
    for name, found in ((f"of '{spared}'", mine), (f"of a label other than '{spared}'", others)):
        if not len(found):
            raise InputError(f"the data has no samples {name}; give both")
    margin = least_margin(mine, int(wanted * len(mine)))
    hit = int((mine >= margin).sum())
    upper = upper_limit(hit, len(mine))
    return Calibration(spared, margin, wanted, len(mine), groups, hit, upper, curve(mine, others, margin))


def strengths(scores: NDArray[np.int32], spared: int) -> _Margins:
    """By how much each sample's best score leads its second best, int64 [n]; -1 where the best is that of label ``spared``.

    At most 2^31 - 1, as the margin of a verdict (``struct ebpfnn_verdict``).
    """
    second, best = np.partition(scores.astype(np.int64), -2, axis=-1)[:, -2:].T
    lead = np.minimum(best - second, INT32_MAX)
    found: _Margins = np.where(scores.argmax(axis=1) == spared, np.int64(-1), lead)
    return found


def least_margin(margins: _Margins, allowed: int) -> int:
    """The least margin that at most ``allowed`` of ``margins`` reach. Raises :class:`InputError` if there is none."""
    falling = np.sort(margins)[::-1]
    if allowed >= len(falling):
        return 0
    margin = max(0, int(falling[allowed]) + 1)
    if margin > INT32_MAX:
        fact = f"{allowed + 1} samples that are to be spared have the greatest margin there is"
        raise InputError(f"{fact}; train the model again")
    return margin


def upper_limit(hit: int, rows: int) -> float:
    """The upper limit of a share with a confidence of 95 %, one-sided, of which ``hit`` of ``rows`` were seen.

    Source: Clopper and Pearson, Biometrika 26 (1934), 404-413.
    """
    if hit >= rows:
        return 1.0
    low, high = hit / rows, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(hit, rows, middle) > 1 - _CONFIDENCE else (low, middle)
    return high


def _at_most(hit: int, rows: int, share: float) -> float:
    """How probable it is that at most ``hit`` of ``rows`` are hit, if each is with the probability ``share``."""
    if share in (0.0, 1.0):
        return 1.0 - share
    whole = lgamma(rows + 1)
    terms = (
        whole - lgamma(k + 1) - lgamma(rows - k + 1) + k * log(share) + (rows - k) * log(1 - share) for k in range(hit + 1)
    )
    return min(1.0, sum(map(exp, terms)))


def curve(spared: _Margins, others: _Margins, chosen: int) -> tuple[Point, ...]:
    """What other margins give: 0, ``chosen``, and some that samples have, of both kinds."""
    found = np.unique(np.concatenate([spared, others]))
    found = found[found > 0]
    some = np.quantile(found, np.linspace(0, 1, MOST_POINTS - 2), method="nearest").tolist() if len(found) else []
    margins = sorted({0, chosen, *map(int, some)})
    return tuple(map(Point, margins, _reaching(spared, margins), _reaching(others, margins)))


def _reaching(found: _Margins, margins: list[int]) -> list[float]:
    """For each of ``margins`` the share of ``found`` that is at least as high."""
    shares: list[float] = (1 - np.searchsorted(np.sort(found), margins) / len(found)).tolist()
    return shares
