"""ROC, AUC and the margin at a rate of false positives, against loops over every pair and every margin."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ebpfnn.evaluation.detection import detect

ROWS = st.lists(st.tuples(st.lists(st.integers(-5, 5), min_size=3, max_size=3), st.integers(0, 2)), min_size=1, max_size=30)


@given(ROWS, st.integers(0, 2), st.sampled_from([0.0, 0.001, 0.1, 0.25, 0.5, 1.0]))
def test_figures(rows: list[tuple[list[int], int]], positive: int, rate: float) -> None:
    leads = [(scores[positive] - max(scores[:positive] + scores[positive + 1 :]), truth == positive) for scores, truth in rows]
    own, others = [lead for lead, is_own in leads if is_own], [lead for lead, is_own in leads if not is_own]
    found = detect(np.array([scores for scores, _ in rows], np.int32), np.array([truth for _, truth in rows]), positive, rate)
    assert (found.positives, found.negatives) == (len(own), len(others))
    if not others:
        assert (found.margin, found.auc, found.recall) == (None, None, None)
        return
    allowed = [margin for margin in range(-12, 13) if sum(lead >= margin for lead in others) <= Fraction(rate) * len(others)]
    assert found.margin is not None
    assert {lead >= found.margin for lead in others} == {lead >= allowed[0] for lead in others}
    assert found.margin == max(allowed[0], min(others))
    assert found.false_positives == sum(lead >= found.margin for lead in others)
    assert found.true_positives == sum(lead >= found.margin for lead in own)
    if own:
        pairs = [Fraction(1) if a > b else Fraction(a == b, 2) for a in own for b in others]
        assert found.auc == float(sum(pairs) / len(pairs))
        points = {(sum(o >= m for o in others) / len(others), sum(o >= m for o in own) / len(own)) for m in range(-11, 12)}
        assert {(round(x, 9), round(y, 9)) for x, y in found.curve} == {(round(x, 9), round(y, 9)) for x, y in points} | {
            (0, 0)
        }
        assert found.curve[-1] == (1.0, 1.0)


def test_scores_at_the_ends_of_int32_do_not_wrap() -> None:
    low, high = np.iinfo(np.int32).min, np.iinfo(np.int32).max
    found = detect(np.array([[high, low], [low, high]], np.int32), np.array([0, 1]), 0, 0.0)
    assert (found.auc, found.margin, found.true_positives) == (1.0, low - high + 1, 1)


def test_a_long_curve_is_thinned_from_none_to_all() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(-(10**6), 10**6, (5000, 2)).astype(np.int32)
    found = detect(scores, random.integers(0, 2, 5000), 1, 0.001)
    assert len(found.curve) <= 201
    assert (found.curve[0], found.curve[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert found.curve == sorted(found.curve)


def test_a_network_of_one_class_has_no_margin() -> None:
    found = detect(np.zeros((3, 1), np.int32), np.zeros(3, np.intp), 0, 0.1)
    assert (found.margin, found.auc, found.curve) == (None, None, [])
