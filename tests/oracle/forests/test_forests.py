"""What ``make oracle`` does with forests, for as many as take some 10 seconds; and that it would see a fault."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ebpfnn.trees import Forest, Tree
from ebpfnn.trees.compile import compile_forest
from ebpfnn.trees.plan import PLANS

from .. import judge as any_judge
from .. import ways as any_ways
from ..report import Tally
from ..ways import Way
from . import arithmetic, generate, ways
from .judge import ForestJudge, judge_many

SEEDS = range(30)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ebpfnn keeps the verifier's log of what is refused."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.usefixtures("tracing", "logs")
def test_random_forests_are_right_in_every_way_that_they_run() -> None:
    tally, told = Tally(), []
    judge_many(iter(SEEDS), tally, told.append)
    assert not told, "\n".join(map(str, told))
    assert tally.networks == len(SEEDS)
    assert tally.loads > 3 * len(SEEDS)
    assert tally.samples > 50 * tally.loads


def one_more(forest: Forest) -> Forest:
    return replace(forest, base=tuple(base + 1 for base in forest.base))


def other_thresholds(forest: Forest) -> Forest:
    def moved(tree: Tree) -> Tree:
        return replace(tree, thresholds=np.where(tree.thresholds == 255, 254, tree.thresholds + 1).astype(np.uint8))

    return replace(forest, trees=tuple(map(moved, forest.trees)))


def other_sides(forest: Forest) -> Forest:
    return replace(forest, trees=tuple(replace(tree, children=tree.children[:, ::-1].copy()) for tree in forest.trees))


WRONG: dict[str, Callable[[Forest], Forest]] = {"base": one_more, "thresholds": other_thresholds, "sides": other_sides}


@pytest.mark.root
@pytest.mark.usefixtures("tracing", "logs")
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_forest_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch, wrong: str, plan: str) -> None:
    forest = small()
    for made, right in ((forest, True), (WRONG[wrong](forest), False)):
        way = Way("tested", partial(compile_forest, made, plan=plan))
        monkeypatch.setattr(ways, "of", lambda forest, way=way: iter([way]))
        for trigger in any_ways.TRIGGERS:
            monkeypatch.setattr(any_judge, "OTHERS", [trigger])
            tally = Tally()
            ForestJudge(0, tally, forest).judge()
            assert bool(tally.differences) != right


def small() -> Forest:
    """The first of a few trees that have nodes."""
    made = map(generate.forest, range(100))
    return next(each for each in made if 1 < len(each.trees) < 20 and each.depth > 3 and len(each.labels) > 1)


def by_hand() -> Forest:
    """A tree of two nodes, and a leaf."""
    nodes = np.array([1, 0], np.int32), np.array([10, 255], np.uint8), np.array([[-1, 1], [-3, -2]], np.int32)
    leaves = np.array([[1, 0], [20, 5], [300, 7]], np.int32)
    leaf = Tree(np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros((0, 2), np.int32), np.array([[-1, 2]], np.int32))
    form = generate.forest(0).input
    return Forest("by hand", replace(form, shape=(2,)), ("a", "b"), (Tree(*nodes, leaves), leaf), (4000, 4000))


def test_what_the_oracle_computes_is_what_one_computes_by_hand() -> None:
    told = {(255, 9): [4000, 4002], (254, 10): [4299, 4009], (255, 10): [4019, 4007], (0, 255): [4299, 4009]}
    for sample, scores in told.items():
        assert arithmetic.scores(by_hand(), list(sample)) == scores
    assert arithmetic.label([5, 7, 7]) == 1


def test_forests_of_every_form_are_generated() -> None:
    made = [generate.forest(seed) for seed in range(300)]
    depths = {forest.depth for forest in made}
    assert {0, 1, 60} <= depths
    assert {1, 2, 63, 64} <= {len(forest.labels) for forest in made}
    assert any(len(forest.trees) > 100 for forest in made)
    assert any(256 in {len(tree.leaves) for tree in forest.trees} for forest in made)
    assert any(2**31 - 1 in forest.bounds[1] for forest in made)
    assert any(-(2**31) in forest.bounds[0] for forest in made)
    thresholds = np.concatenate([tree.thresholds for forest in made for tree in forest.trees])
    assert {1, 255} <= set(thresholds.tolist())
    assert any(
        forest.input.size > 256 and len({*np.concatenate([tree.values for tree in forest.trees])}) > 256 for forest in made
    )
