"""Leaves in floats become integers of one unit: the law of its tolerance, held against sums of exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ebpfnn.errors import ModelError
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import INT32_MAX
from ebpfnn.trees import Forest, reference
from ebpfnn.trees.fixedpoint import FloatTree, fixed, numbered


def stump(*leaves: list[float]) -> FloatTree:
    """One node, or a leaf alone: right from 7 on."""
    nodes = len(leaves) - 1
    children = np.array([[-1, -2]][:nodes], np.int32).reshape(nodes, 2)
    return FloatTree(np.zeros(nodes, np.int32), np.full(nodes, 7, np.uint8), children, np.array(leaves, np.float64))


def forest(trees: list[FloatTree], base: list[float]) -> Forest:
    made = fixed(trees, np.array(base))
    labels = tuple(map(str, range(len(base))))
    return Forest("f", InputFormat((1,)), labels, made.trees, made.base, made.scale, made.tolerance)


@pytest.mark.parametrize("largest", [1e-250, 1e-9, 0.3, 1.0, 3.0, 2.0**31, 1e300])
@pytest.mark.parametrize("count", [1, 2, 100])
def test_no_sum_differs_by_more_than_the_tolerance(largest: float, count: int) -> None:
    random = np.random.default_rng(count)
    drawn = random.uniform(-largest, largest, (count, 2, 3))
    trees, base = [stump(*each.tolist()) for each in drawn], random.uniform(-largest, largest, 3).tolist()
    made = forest(trees, base)
    for byte, side in ((6, 0), (7, 1)):
        scores = reference.scores(made, np.array([byte], np.uint8))
        for output, score in enumerate(scores.tolist()):
            exact = sum(map(Fraction, [base[output], *drawn[:, side, output].tolist()]))
            assert abs(score * Fraction(made.score_scale) - exact) <= Fraction(made.tolerance) * Fraction(1 + 1e-9)
    assert made.tolerance <= (count + 1) * made.score_scale / 2


def test_the_unit_is_the_finest_power_of_two() -> None:
    made = forest([stump([0.5, -1.0], [0.25, 1.0])], [0.0, 0.0])
    assert made.score_scale == 2.0**-30
    assert made.tolerance == 0
    assert reference.scores(made, np.array([7], np.uint8)).tolist() == [1 << 28, 1 << 30]


def test_sums_reach_int32_and_no_more() -> None:
    made = forest([stump([float(INT32_MAX - 2)], [-float(INT32_MAX - 2)])], [0.0])
    assert made.score_scale == 1
    assert made.bounds == ((2 - INT32_MAX,), (INT32_MAX - 2,))
    assert forest([stump([float(INT32_MAX)])], [0.0]).score_scale == 2


def test_leaves_of_zeros() -> None:
    made = forest([stump([0.0], [0.0])], [0.0])
    assert (made.score_scale, made.tolerance, made.base) == (1.0, 0.0, (0,))


@pytest.mark.parametrize(
    ("leaf", "fact"), [(np.nan, "not finite"), (np.inf, "not finite"), (5e-324, "as good as 0"), (1.7e308, "not finite")]
)
def test_what_has_no_unit_is_refused(leaf: float, fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        forest([stump([leaf]), stump([leaf])], [0.0])


def test_nodes_that_are_leaves_are_told_apart() -> None:
    # the root's left child is a leaf, its right child a node with two leaves
    children = np.array([[1, 2], [-1, -1], [3, 4], [-1, -1], [-1, -1]])
    leaves = np.array([[9.0], [1.0], [9.0], [2.0], [3.0]])
    tree = numbered(np.array([4, -2, 0, -2, -2]), np.array([10, 0, 20, 0, 0]), children, leaves)
    assert tree.children.tolist() == [[-1, 1], [-2, -3]]
    assert (tree.values.tolist(), tree.thresholds.tolist(), tree.leaves.tolist()) == ([4, 0], [10, 20], [[1.0], [2.0], [3.0]])
    alone = numbered(np.array([-2]), np.array([0]), np.array([[-1, -1]]), np.array([[5.0]]))
    assert alone.children.shape == (0, 2)
    assert alone.leaves.tolist() == [[5.0]]
