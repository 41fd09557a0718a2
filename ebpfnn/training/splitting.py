"""Splits rows into those to learn from and those set aside. Rows of one group stay together, if groups are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Indices = NDArray[np.intp]
_SEED = 0
"""It is not the run's own seed, so that runs of several seeds are compared on the same rows."""


def set_aside(
    rows: Indices, count: int, groups: NDArray[np.intp] | None, labels: NDArray[np.intp] | None = None
) -> tuple[Indices, Indices]:
    """``rows`` in two parts: without those set aside, and those set aside, about ``count``, at random, always the same.

    ``groups`` has the group number of every existing row, and ``labels`` its class. A group is never split, and the first part
    keeps some rows of each class. Raises :class:`InputError` if there are not enough groups.
    """
    random = np.random.default_rng(_SEED)
    if groups is None:
        order = random.permutation(len(rows))
        return rows[order[count:]], rows[order[:count]]
    distinct, own = np.unique(groups[rows], return_inverse=True)
    classes = np.zeros(len(rows), np.intp) if labels is None else np.unique(labels[rows], return_inverse=True)[1]
    left = np.zeros((len(distinct), int(classes.max(initial=0)) + 1), np.intp)
    np.add.at(left, (own, classes), 1)
    taken = _taken(left, count, random.permutation(len(distinct)))
    if not taken:
        fact = f"data: of {len(distinct)} groups to split by, none can be set aside so that all classes are left to learn from"
        raise InputError(
            f"{fact}; give each class in several groups, another --split-by, or --split-by none to split single rows"
        )
    chosen = np.isin(own, taken)
    return random.permutation(rows[~chosen]), rows[chosen]


def divided(groups: NDArray[np.intp] | None, training: Indices, held_out: Indices, tested: Indices) -> str:
    """How many groups each part has, for users. Empty without groups."""
    if groups is None:
        return ""
    counts = [len(np.unique(groups[part])) for part in (training, held_out, tested)]
    tests = f", {counts[2]} to test" if len(tested) else ""
    return f"{counts[0]} groups to learn from, {counts[1]} held out{tests}"


def _taken(counts: NDArray[np.intp], count: int, order: NDArray[np.intp]) -> list[int]:
    """Groups in ``order``, until they have ``count`` rows. ``counts`` are those of each group, by class, [groups, classes].

    A group is passed over if it has the last rows of a class.
    """
    left, taken, rows = counts.sum(axis=0), list[int](), 0
    for group in order.tolist():
        if rows >= max(count, 1):
            break
        if (left > counts[group]).all():
            left = left - counts[group]
            rows += int(counts[group].sum())
            taken.append(group)
    return taken
