"""Holds every way that a forest runs to the arithmetic: each score and label with ``==``."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import numpy as np

from ebpfnn.trees import Forest, reference

from ..judge import Judge, Report
from ..report import Difference, Tally
from ..ways import Way
from . import arithmetic, generate, ways


class ForestJudge(Judge):
    """Judges the forest of one ``seed`` into ``tally``."""

    def __init__(self, seed: int, tally: Tally, forest: Forest | None = None) -> None:
        self.seed, self.tally = seed, tally
        self.network = forest or generate.forest(seed)
        self.random = np.random.default_rng([seed, 8])
        self.samples = self.given = generate.samples(self.network, self.random)
        self.scores = np.array([arithmetic.scores(self.network, sample) for sample in self.samples.tolist()])
        self.labels = [arithmetic.label(scores) for scores in self.scores.tolist()]

    def _reference(self) -> list[list[int]]:
        found: list[list[int]] = reference.scores(self.network, self.samples).tolist()
        return found

    def _ways(self) -> Iterator[Way]:
        return ways.of(self.network)

    def _described(self) -> str:
        return describe(self.network)


def describe(forest: Forest) -> str:
    """What is found again by its seed."""
    form = f"{forest.input.size} values, {len(forest.labels)} labels, base {list(forest.base[:3])}"
    return f"{forest.architecture}, {form}, leaves a tree {[len(tree.leaves) for tree in forest.trees[:9]]}"


def judge_many(seeds: Iterator[int], tally: Tally, report: Report) -> None:
    """As that of networks."""
    for seed in seeds:
        known = len(tally.differences)
        try:
            ForestJudge(seed, tally).judge()
        except Exception:
            tally.differences.append(Difference(seed, "on the way", traceback.format_exc(), describe(generate.forest(seed))))
        for difference in tally.differences[known : known + 1]:
            report(difference)
