"""Every plan of a forest computes what the reference computes, in the kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ebpfnn_plugins.run import RunTrigger
from forests import forest, grown, random_forest, samples_of, skinny

from ebpfnn.compiler import Body, KernelFeatures
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.network.layers import INT32_MAX, INT32_MIN
from ebpfnn.session import Session
from ebpfnn.trees import Forest, reference
from ebpfnn.trees.compile import compile_forest
from ebpfnn.trees.plan import PLANS, WALK
from ebpfnn.trees.twin import build_twin

pytestmark = pytest.mark.root

SIZES = {
    "one tree": (1, 8, 6, 2),
    "labels": (7, 4, 9, 64),
    "small trees": (23, 3, 30, 1),
    "many in a loop": (50, 5, 12, 3),
    "leaves alone": (5, 0, 3, 2),
    "more values than a byte counts": (9, 5, 700, 2),
    "many values": (60, 6, 900, 1),
    "four words": (3, 8, 5, 5),
}
TOLD_ELSEWHERE = ("labels", "leaves alone", "more values than a byte counts", "many values")
"""Sizes that tell nothing of an older kernel that the others do not."""
EACH = [pytest.param(size, marks=pytest.mark.slow) if size in TOLD_ELSEWHERE else size for size in SIZES]
DRAWN = np.random.default_rng(5)


def check(made: Forest, features: KernelFeatures, plan: str | None) -> None:
    check_body(made, compile_forest(made, features, plan))


def check_body(made: Forest, body: Body) -> None:
    samples = samples_of(made, 3)
    with Session(made, RunTrigger(), body=body) as session:
        found = session.infer_many(samples)
    assert np.array_equal(found.scores, reference.scores(made, samples))
    assert np.array_equal(found.labels, reference.labels(made, samples))


@pytest.mark.parametrize("plan", [None, *PLANS])
@pytest.mark.parametrize("size", EACH)
def test_plans_are_exact(size: str, plan: str | None) -> None:
    for seed, share in enumerate((0.9, 1.0)):
        check(random_forest(seed, *SIZES[size], share), OLDEST, plan)


@pytest.mark.parametrize("size", EACH)
def test_the_twin_is_exact(size: str) -> None:
    check_body(made := random_forest(4, *SIZES[size]), build_twin(made))


def test_the_twin_of_trees_of_all_depths() -> None:
    trees = [grown(DRAWN, depth, 20, 3) for depth in (0, 1, 5)] + [skinny(DRAWN, 60, 20, 3)]
    made = forest(trees, 20)
    check_body(made, build_twin(made))


@pytest.mark.parametrize("features", [NEWEST, MIDDLE])
def test_newer_kernels_need_no_other_code(features: KernelFeatures) -> None:
    made = random_forest(1, 16, 6, 10, 3)
    for plan in PLANS:
        assert compile_forest(made, features, plan).spec.functions == compile_forest(made, OLDEST, plan).spec.functions


@pytest.mark.parametrize("plan", PLANS)
def test_trees_of_all_depths_together(plan: str) -> None:
    trees = [grown(DRAWN, depth, 20, 3, share) for depth in (0, 1, 2, 5, 9, 10) for share in (0.5, 1.0)]
    check(forest([*trees, skinny(DRAWN, 60, 20, 3), skinny(DRAWN, 17, 20, 3)], 20), OLDEST, plan)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("labels", [1, 2, 3])
def test_scores_reach_both_ends_of_int32(plan: str, labels: int) -> None:
    tree = grown(DRAWN, 3, 4, labels, 1.0)
    low, high = (np.full((8, labels), end // 4, np.int32) for end in (INT32_MIN, INT32_MAX))
    ends = [type(tree)(tree.values, tree.thresholds, tree.children, leaves) for leaves in (low, high)]
    made = forest([ends[0]] * 4 + [ends[1]] * 4, 4, 0)
    check(made, OLDEST, plan)
    check(forest([ends[0]] * 4, 4, 0), OLDEST, plan)
    check(forest([ends[1]] * 4, 4, 3), OLDEST, plan)


@pytest.mark.parametrize("plan", PLANS)
def test_values_past_what_a_load_reaches(plan: str) -> None:
    trees = [grown(DRAWN, 6, 70_000, 2, 1.0) for _ in range(6)]
    check(forest(trees, 70_000), OLDEST, plan)


def test_more_values_than_two_bytes_count() -> None:
    trees = [grown(DRAWN, 11, 1, 2, 1.0) for _ in range(33)]
    spread = [
        replace(each, values=each.nodes * number + np.arange(each.nodes, dtype=np.int32)) for number, each in enumerate(trees)
    ]
    check(forest(spread, 33 * spread[0].nodes), OLDEST, WALK)


@pytest.mark.slow
def test_as_many_trees_as_there_may_be() -> None:
    check(random_forest(2, 4096, 5, 20, 2, 1.0), OLDEST, None)


@pytest.mark.slow
def test_trees_of_sixteen_levels() -> None:
    check(forest([grown(DRAWN, 16, 20, 2, 1.0)], 20), OLDEST, None)
