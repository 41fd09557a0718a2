"""Splits rows into those to learn from and those set aside. Rows of one group stay together, if groups are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Indices = NDArray[np.intp]
_SEED = 0
"""It is not the run's own seed, so that runs of several seeds are compared on the same rows."""


def set_aside(rows: Indices, count: int, groups: NDArray[np.intp] | None) -> tuple[Indices, Indices]:
    """``rows`` in two parts: without those set aside, and those set aside, about ``count``, at random, always the same.

    ``groups`` has the group number of every existing row. A group is never split. Raises :class:`InputError` if there are not
    enough groups.
    """
    random = np.random.default_rng(_SEED)
    if groups is None:
        order = random.permutation(len(rows))
        return rows[order[count:]], rows[order[:count]]
    own = groups[rows]
    distinct, sizes = np.unique(own, return_counts=True)
    if len(distinct) < 2:
        raise InputError(f"data: {len(distinct)} group to split by is left; give rows of more, or another --split-by")
    order = random.permutation(len(distinct))
    taken = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1
    chosen = np.isin(own, distinct[order[: min(taken, len(distinct) - 1)]])
    return random.permutation(rows[~chosen]), rows[chosen]
