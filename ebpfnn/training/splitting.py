"""Splits rows into those to learn from and those set aside. Rows of one group stay together, if groups are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Indices = NDArray[np.intp]
HELD_OUT = 5_000
"""The number of training samples that choose the epoch, and between seeds and recipes. A twelfth of fewer than 60,000."""
_TESTED = 6
"""One in this many samples is for testing, if the data has no part for that."""
_SEED = 0
"""It is not the run's own seed, so that runs of several seeds are compared on the same rows."""


def thirds(
    count: int, groups: NDArray[np.intp] | None = None, labels: NDArray[np.intp] | None = None, *, testing: bool
) -> tuple[Indices, Indices, Indices]:
    """``count`` rows in three: to learn from, to hold out, and if ``testing`` to test. Raises as :func:`set_aside`."""
    rows = np.arange(count)
    rest, tested = set_aside(rows, count // _TESTED, groups, labels, again=True) if testing else (rows, rows[:0])
    return (*set_aside(rest, min(HELD_OUT, max(1, len(rest) // 12)), groups, labels), tested)


def set_aside(
    rows: Indices, count: int, groups: NDArray[np.intp] | None, labels: NDArray[np.intp] | None = None, *, again: bool = False
) -> tuple[Indices, Indices]:
    """``rows`` in two parts: without those set aside, and those set aside, about ``count``, at random, always the same.

    ``groups`` has the group number of every existing row, and ``labels`` its class. A group is never split. Of each class at
    least one group is left, and one is set aside if that is possible. ``again`` says that some will be set aside once more, so
    two are left if that is possible. Raises :class:`InputError` if there are not enough groups.
    """
    random = np.random.default_rng(_SEED)
    if groups is None:
        order = random.permutation(len(rows))
        return rows[order[count:]], rows[order[:count]]
    distinct, own = np.unique(groups[rows], return_inverse=True)
    classes = np.zeros(len(rows), np.intp) if labels is None else np.unique(labels[rows], return_inverse=True)[1]
    counts = np.zeros((len(distinct), int(classes.max(initial=0)) + 1), np.intp)
    np.add.at(counts, (own, classes), 1)
    order = random.permutation(len(distinct))
    taken = _taken(counts, count, order, keep=2 if again else 1, of_each=True) or _taken(counts, count, order)
    if not taken:
        fact = f"data: of {len(distinct)} groups to split by, none can be set aside so that all classes are left to learn from"
        raise InputError(f"{fact}; give each class in several groups, or split single rows with --split-by none")
    chosen = np.isin(own, taken)
    return random.permutation(rows[~chosen]), rows[chosen]


def divided(groups: NDArray[np.intp] | None, training: Indices, held_out: Indices, tested: Indices) -> str:
    """How many groups each part has, for users. Empty without groups."""
    if groups is None:
        return ""
    counts = [len(np.unique(groups[part])) for part in (training, held_out, tested)]
    tests = f", {counts[2]} to test" if len(tested) else ""
    return f"{counts[0]} groups to learn from, {counts[1]} held out{tests}"


def _taken(counts: NDArray[np.intp], count: int, order: Indices, *, keep: int = 1, of_each: bool = False) -> list[int]:
    """Groups, in ``order``, that have ``count`` rows or a few more, and with ``of_each`` rows of each class.

    ``counts`` are the rows of each group by class, [groups, classes]. ``keep`` groups of each class are left.
    """
    having = counts > 0
    left, covered, rows, taken = having.sum(axis=0), np.zeros(counts.shape[1], bool), 0, dict[int, None]()

    def take(group: int) -> None:
        nonlocal left, covered, rows
        if group not in taken and (left[having[group]] > keep).all():
            taken[group] = None
            left, covered, rows = left - having[group], covered | having[group], rows + int(counts[group].sum())

    for label in range(counts.shape[1]) if of_each else ():
        for group in order[having[order, label]].tolist():
            if covered[label]:
                break
            take(group)
    for group in order.tolist():
        if rows >= max(count, 1):
            break
        take(group)
    return list(taken)
