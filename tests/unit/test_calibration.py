"""The margin from which verdicts count: chosen by samples, carried by the model."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pytest
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.errors import InputError, ModelError
from ebpfnn.evaluation.calibration import calibrate, curve, least_margin, strengths, upper_limit
from ebpfnn.network.calibration import Calibration, Point
from ebpfnn.network.layers import INT32_MAX, INT32_MIN

LABELS = ("benign", "scan", "flood")
EXAMPLE = Calibration("0", 1200, 0.001, 5000, 12, 4, 0.0019, (Point(0, 0.01, 1.0), Point(1200, 0.0008, 0.9)))


def by_hand(scores: np.ndarray, truth: np.ndarray, spared: int, margin: int) -> tuple[int, int]:
    """How many samples of the spared label are hit, and how many others are, counted one by one."""
    hit = caught = 0
    for row, label in zip(scores.tolist(), truth.tolist(), strict=True):
        best = row.index(max(row))
        lead = min(row[best] - max(each for place, each in enumerate(row) if place != best), INT32_MAX)
        if best != spared and lead >= margin:
            hit, caught = hit + (label == spared), caught + (label != spared)
    return hit, caught


@pytest.mark.parametrize("wanted", [0, 0.001, 0.01, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("seed", range(4))
def test_the_margin_is_the_least_that_spares_enough(seed: int, wanted: float) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(-50, 50, (900, 3)).astype(np.int32)  # so that many margins are equal
    truth = random.integers(0, 3, 900)
    found = calibrate(scores, truth, LABELS, "scan", wanted, 7)
    rows = int((truth == 1).sum())
    assert (found.rows, found.groups, found.spared) == (rows, 7, "scan")
    assert found.hit == by_hand(scores, truth, 1, found.margin)[0] <= wanted * rows
    assert found.margin == 0 or by_hand(scores, truth, 1, found.margin - 1)[0] > wanted * rows


def test_the_curve_has_the_shares_of_its_margins() -> None:
    random = np.random.default_rng(9)
    scores, truth = random.integers(-(2**29), 2**29, (400, 3)).astype(np.int32), random.integers(0, 3, 400)
    found = calibrate(scores, truth, LABELS, "benign", 0.02, 1)
    assert found.margin in {point.margin for point in found.curve}
    assert found.curve[0].margin == 0
    spared = int((truth == 0).sum())
    for margin, hit, caught in found.curve:
        assert (hit * spared, caught * (400 - spared)) == pytest.approx(by_hand(scores, truth, 0, margin))


def test_margins_at_the_ends_of_int32() -> None:
    scores = np.array([[INT32_MIN, INT32_MAX], [INT32_MAX, INT32_MIN], [0, 1], [5, 5]], np.int32)
    assert strengths(scores, 0).tolist() == [INT32_MAX, -1, 1, -1]
    with pytest.raises(InputError, match="1 samples that are to be spared have the greatest margin there is"):
        least_margin(strengths(scores, 0), 0)
    assert least_margin(strengths(scores, 0), 1) == 2
    assert least_margin(strengths(scores, 0), 4) == 0


@pytest.mark.parametrize(("hit", "rows"), [(0, 1), (0, 299), (1, 10), (3, 50), (10, 40), (49, 50), (50, 50)])
def test_the_upper_limit_is_that_of_clopper_and_pearson(hit: int, rows: int) -> None:
    """At the limit, so few hits have a probability of 5 %, by exact fractions."""
    limit = upper_limit(hit, rows)
    if hit == rows:
        assert limit == 1
        return
    share = Fraction(limit)
    few = sum(comb(rows, k) * share**k * (1 - share) ** (rows - k) for k in range(hit + 1))
    assert float(few) == pytest.approx(0.05, rel=1e-6)


def test_both_kinds_of_samples_are_needed() -> None:
    scores, truth = np.zeros((3, 2), np.int32), np.array([0, 0, 0])
    with pytest.raises(InputError, match="no samples of a label other than 'benign'; give both"):
        calibrate(scores, truth, LABELS[:2], "benign", 0.1, 1)
    with pytest.raises(InputError, match="no samples of 'scan'; give both"):
        calibrate(scores, truth, LABELS[:2], "scan", 0.1, 1)


def test_a_curve_of_nothing_that_leads() -> None:
    nothing = np.full(3, -1, np.int64)
    assert curve(nothing, nothing, 0) == (Point(0, 0.0, 0.0),)


def test_a_model_carries_it(tmp_path: Path) -> None:
    network = random_network((9, 5, 3), seed=1)
    modelfile.save(replace(network, calibration=EXAMPLE), tmp_path / "net.safetensors")
    assert modelfile.load(tmp_path / "net.safetensors").calibration == EXAMPLE
    without = modelfile.encode(network)
    assert b"calibration" not in without


@pytest.mark.parametrize(
    ("changed", "fact"),
    [
        ({"spared": "benign"}, "label 'benign' is not one of the labels"),
        ({"margin": -1}, "margin must lie in 0"),
        ({"margin": 1 << 31}, "margin must lie in 0"),
        ({"hit": 5001}, "counts of rows do not fit"),
        ({"rows": 0, "hit": 0}, "counts of rows do not fit"),
        ({"upper": 1.5}, "shares must lie in 0..1"),
        ({"curve": (Point(5, 0, 0), Point(5, 0, 0))}, "margins, which rise"),
        ({"typical": (3, -1)}, "numbers of bounds must not be negative"),
        ({"curve": tuple(Point(number, 0, 0) for number in range(65))}, "at most 64 margins"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, object], fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        replace(random_network((9, 5, 3), seed=1), calibration=replace(EXAMPLE, **changed))  # type: ignore[arg-type]
