"""Trees with leaves in floats, and their fixed point: leaves in integers, one unit for all. docs/trees.md has the equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import frexp, ldexp

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import INT32_MAX, expect
from .forest import Tree

_FINEST = 1000
"""The unit is no less than 2 to the power of minus this, so that it is a normal float64."""
_BITS = 31


@dataclass(frozen=True, eq=False)
class FloatTree:
    """A tree as :class:`~ebpfnn.trees.Tree` has it, but with ``leaves`` in float64 [nodes + 1, outputs]."""

    values: NDArray[np.int32]
    thresholds: NDArray[np.uint8]
    children: NDArray[np.int32]
    leaves: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fixed:
    """Trees in integers: ``base`` one int32 an output, and ``scale`` and ``tolerance`` as a Forest has them."""

    trees: tuple[Tree, ...]
    base: tuple[int, ...]
    scale: float
    tolerance: float


def numbered(
    values: NDArray[np.integer], thresholds: NDArray[np.integer], children: NDArray[np.integer], leaves: NDArray[np.float64]
) -> FloatTree:
    """A tree from a list of its nodes, the root first, in which leaves are nodes too; children come after their parents.

    ``children`` [nodes, 2] holds numbers of nodes, left and right, and is negative at a leaf. ``leaves`` float64 [nodes,
    outputs] has what a node adds if it is a leaf. ``values`` and ``thresholds`` [nodes], 1..255, are not read there.
    """
    inner, leaf = children[:, 0] >= 0, children[:, 0] < 0
    number = np.where(inner, np.cumsum(inner) - 1, 0 - np.cumsum(leaf))  # -1 - k for leaf k
    kept = (values[inner].astype(np.int32), thresholds[inner].astype(np.uint8), number[children[inner]].astype(np.int32))
    return FloatTree(*kept, np.asarray(leaves[leaf], np.float64))


def fixed(trees: Sequence[FloatTree], base: NDArray[np.float64]) -> Fixed:
    """``trees`` and ``base``, float64 [outputs], in the finest unit, a power of two, in which no score leaves int32.

    ``tolerance`` is the most by which a score times the unit differs from the sum of ``base`` and the floats of the leaves.
    Raises :class:`ModelError` for leaves that are not finite, and for those that are so small that no unit is.
    """
    largest = _largest(trees, base)
    expect(bool(np.isfinite(largest)), "leaves that are not finite numbers")
    unit = _unit(largest, len(trees) + 1)
    rounded = [np.rint(tree.leaves / unit) for tree in trees]
    offset = np.rint(base / unit)
    error = np.abs(offset * unit - base) + sum(
        np.abs(whole * unit - tree.leaves).max(axis=0) for whole, tree in zip(rounded, trees, strict=True)
    )
    made = tuple(
        Tree(tree.values, tree.thresholds, tree.children, whole.astype(np.int32))
        for whole, tree in zip(rounded, trees, strict=True)
    )
    return Fixed(made, tuple(map(int, offset)), unit, float(error.max()))


def _largest(trees: Sequence[FloatTree], base: NDArray[np.float64]) -> float:
    """The most that any sum of ``base`` and some leaves can be, without its sign."""
    reached = np.abs(base)
    with np.errstate(over="ignore"):
        for tree in trees:
            reached = reached + np.abs(tree.leaves).max(axis=0)
    return float(reached.max())


def _unit(largest: float, terms: int) -> float:
    """The least power of two so that ``terms`` rounded numbers, in all no more than ``largest``, sum to an int32."""
    if not largest:
        return 1.0
    exponent = frexp(largest)[1] - _BITS
    exponent += ldexp(largest, -exponent) > INT32_MAX - terms
    if exponent < -_FINEST:
        raise ModelError(f"leaves of at most {largest:g}, which is as good as 0")
    return ldexp(1.0, exponent)
