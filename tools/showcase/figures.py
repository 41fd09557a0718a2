"""Figures of classes, their intervals over sessions, and tables of them in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ebpfnn.evaluation.metrics import ClassFigures, confusion, per_class

RESAMPLED = 1_000
_INTERVAL = (2.5, 97.5)

Names = NDArray[np.str_]
Figure = Callable[[ClassFigures], float | None]


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval that holds 95 % of it over sessions drawn again. None if it does not exist."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        interval = "" if self.low is None else f" ({short(self.low)}-{short(self.high)})"
        return short(self.value) + interval


def short(share: float | None, digits: int = 3) -> str:
    """A share without the 0 before the point, as ``.998``, and ``-`` for none."""
    return "-" if share is None else f"{share:.{digits}f}".removeprefix("0")


def class_figures(truth: Names, predicted: Names, classes: Sequence[str]) -> list[ClassFigures]:
    """The figures of each of ``classes``, in their order."""
    return per_class(confusion(_numbers(truth, classes), _numbers(predicted, classes), len(classes)), tuple(classes))


def estimates(
    truth: Names, predicted: Names, sessions: Names, classes: Sequence[str], figures: Sequence[Figure], seed: int = 0
) -> list[list[Estimate]]:
    """For each class, each of ``figures`` with its interval: the sessions are drawn again with replacement, not the rows.

    Rows of one session resemble each other, so an interval over rows would be too narrow.
    """
    size = len(classes)
    cells = _numbers(truth, classes) * size + _numbers(predicted, classes)
    distinct, own = np.unique(sessions, return_inverse=True)
    counts = np.zeros((len(distinct), size * size), np.int64)
    np.add.at(counts, (own, cells), 1)
    random = np.random.default_rng(seed)
    drawn = [counts[random.integers(0, len(distinct), len(distinct))].sum(axis=0) for _ in range(RESAMPLED)]
    tried = [per_class(each.reshape(size, size), tuple(classes)) for each in drawn]
    whole = per_class(counts.sum(axis=0).reshape(size, size), tuple(classes))
    return [[_estimate(figure(of), [figure(each[n]) for each in tried]) for figure in figures] for n, of in enumerate(whole)]


def _estimate(value: float | None, drawn: Iterable[float | None]) -> Estimate:
    known = [each for each in drawn if each is not None]
    if value is None or not known:
        return Estimate(value)
    low, high = np.percentile(known, _INTERVAL)
    return Estimate(value, float(low), float(high))


def _numbers(names: Names, classes: Sequence[str]) -> NDArray[np.intp]:
    index = {name: number for number, name in enumerate(classes)}
    return np.array([index[name] for name in names.tolist()], np.intp)


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; each row has as many cells as ``head``. Cells other than text are shown by ``str``."""
    lines = [head, ["---"] * len(head), *rows]
    wrong = next((row for row in lines if len(row) != len(head)), None)
    if wrong is not None:
        raise ValueError(f"a row of {len(wrong)} cells in a table of {len(head)}: {list(wrong)}")
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in lines)
