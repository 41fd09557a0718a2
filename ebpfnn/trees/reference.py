"""Trees in numpy: the reference that every body of them must equal, bit for bit. The equations are those of docs/trees.md."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .forest import Forest, Tree


def scores(forest: Forest, samples: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The scores, int32 [n, labels], of samples, uint8 ``[n, *shape]``; [labels] for one sample ``[*shape]`` (equation 2).

    Raises :class:`InputError` for another dtype or shape.
    """
    shape = forest.input_shape
    if samples.dtype != np.uint8 or samples.shape not in (shape, (len(samples) if samples.ndim else 0, *shape)):
        raise InputError(f"samples: {samples.dtype} {list(samples.shape)}; give uint8 {list(shape)} or [n, *{list(shape)}]")
    rows = samples.reshape(-1, forest.input.size)
    found = np.tile(np.array(forest.base, np.int32), (len(rows), 1))
    for tree in forest.trees:
        found += tree.leaves[reached(tree, rows)]
    return found[0] if samples.shape == shape else found


def labels(forest: Forest, samples: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The index of the highest score of each sample, of equal ones the first (equation 3): [n], or [] for one sample."""
    return np.asarray(scores(forest, samples).argmax(axis=-1), dtype=np.intp)


def reached(tree: Tree, rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The leaf of ``tree`` that each of ``rows``, uint8 [n, values], reaches, int64 [n] (equation 1)."""
    at = np.zeros(len(rows), np.int64) if tree.nodes else np.full(len(rows), -1, np.int64)
    while (inner := np.flatnonzero(at >= 0)).size:
        node = at[inner]
        right = rows[inner, tree.values[node]] >= tree.thresholds[node]
        at[inner] = tree.children[node, right.astype(np.intp)]
    return -1 - at
