"""Plans of forests: what they choose, what they say of the code beforehand, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from forests import forest, grown, random_forest, samples_of, skinny

from ebpfnn.bodies import kind_of
from ebpfnn.compiler.features import NEWEST, OLDEST
from ebpfnn.errors import ModelError
from ebpfnn.obj import insn
from ebpfnn.trees import Forest, groups, leaves, masks, reference, walk
from ebpfnn.trees.compile import compile_forest
from ebpfnn.trees.facts import facts
from ebpfnn.trees.plan import BRANCHES, MASKS, PLANS, WALK, plan_forest

DRAWN = np.random.default_rng(4)


@pytest.mark.parametrize(
    ("made", "shape"),
    [
        (random_forest(1, 1, 8, 6, 2, 1.0), MASKS),
        (random_forest(1, 1, 8, 200, 2, 1.0), BRANCHES),
        (random_forest(1, 100, 6, 64, 2, 1.0), WALK),
        (random_forest(1, 100, 3, 12, 1, 1.0), MASKS),
        (forest([skinny(DRAWN, 60, 20, 2)], 20), BRANCHES),
    ],
    ids=["few values", "many values", "many trees", "small trees", "skinny"],
)
def test_the_cheapest_shape_is_chosen(made: Forest, shape: str) -> None:
    assert plan_forest(made, NEWEST).shape == shape


@pytest.mark.parametrize("plan", PLANS)
def test_estimates_hold_what_is_written(plan: str) -> None:
    for size in ((1, 8, 6, 2), (40, 4, 30, 1), (16, 6, 20, 5), (9, 5, 700, 2)):
        made = random_forest(3, *size)
        body = compile_forest(made, OLDEST, plan)
        written = sum(len(function.code) for function in body.spec.functions.values()) // insn.SIZE
        looped = plan == WALK and size[0] >= 4 * walk.AT_A_TIME
        assert looped or 0.6 * body.plan.walked - 60 < written < 1.2 * body.plan.walked + 60
        assert sum(table.value_size for table in body.spec.maps.values()) <= body.plan.table_bytes


def test_a_tree_that_fits_no_table_is_a_branch() -> None:
    made = forest([grown(DRAWN, 5, 20, 2, 1.0), skinny(DRAWN, 300, 20, 2)], 20)
    assert plan_forest(made, NEWEST, WALK).shape == "walk and branches"


REFUSED = {
    "known are branches, walk, masks": (lambda: random_forest(1, 1, 2, 3, 1), "no such"),
    "some 59 such trees fit": (lambda: forest([skinny(DRAWN, 120, 9, 1)] * 80, 9), BRANCHES),
    "at most 16 levels": (lambda: forest([grown(DRAWN, 14, 9, 1, 1.0)], 9), BRANCHES),
    "the kernel takes 4,194,304": (lambda: forest([grown(DRAWN, 16, 9, 64, 1.0)], 9), WALK),
}


@pytest.mark.parametrize("remedy", REFUSED)
def test_what_does_not_fit_is_refused_on_one_line(remedy: str) -> None:
    make, plan = REFUSED[remedy]
    with pytest.raises(ModelError, match=remedy) as refused:
        compile_forest(make(), OLDEST, plan)
    assert "\n" not in str(refused.value)


def test_sums_of_words_are_scores() -> None:
    for labels in (1, 2, 3, 64):
        made = random_forest(labels, 5, 3, 4, labels)
        samples = samples_of(made, 1, 50)
        sums = np.tile(leaves.seeds(made), (len(samples), 1))
        for tree in made.trees:
            sums += leaves.rows(tree)[reference.reached(tree, samples)]
        scores = (sums ^ np.uint64(0x80000000_80000000)).view(np.int32)[:, :labels]
        assert np.array_equal(scores, reference.scores(made, samples))


def test_of_each_tree_the_masks_leave_one_bit() -> None:
    made = random_forest(6, 30, 5, 8, 1, 0.8)
    samples = samples_of(made, 2, 100)
    for group in groups.groups_of(made.trees):
        left = np.tile(group.owned, (len(samples), 1))
        for looked in masks.looked_at(group):
            left[:, looked.words] &= looked.masks[samples[:, looked.value]]
        for member in group.members:
            reached = member.bit + reference.reached(member.tree, samples)
            own = np.uint64(((1 << member.leaves) - 1) << member.bit)
            assert member.words == 1
            assert np.array_equal(left[:, member.word] & own, np.uint64(1) << reached.astype(np.uint64))


def test_facts_are_those_of_the_forest() -> None:
    made = random_forest(1, 16, 8, 6, 2)
    told = kind_of(made).facts(made)
    assert told == facts(made)
    assert told["trees"] == "16"
    assert told["nodes"].startswith(f"{made.nodes:,}, depth ")
    assert told["plan"].startswith(plan_forest(made, NEWEST).shape)
    assert all(f"plan {name}" in told for name in PLANS)
