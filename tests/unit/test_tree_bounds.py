"""Bounds of comparisons: the least float64 whose float32 is past a threshold, against a search by steps of Python's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpfnn.importers.tree_bounds import place_of, turns, value_at
from ebpfnn.importers.tree_columns import Made

SINGLE, DOUBLE, INTEGER = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def bound(threshold: float, kind: np.dtype, made: Made | None = None) -> float:
    limit = np.float32(threshold)
    found = turns(made or Made(0, kind), kind, lambda values: values > limit, 1)
    assert found.side.tolist() == [1]
    return float(found.bounds[0])


@given(FLOATS)
def test_the_least_float64_above_a_threshold_in_float32(threshold: float) -> None:
    found = bound(threshold, SINGLE)
    with np.errstate(over="ignore"):
        assert np.float32(found) > np.float32(threshold)
        assert not np.float32(math.nextafter(found, -math.inf)) > np.float32(threshold)


@given(FLOATS)
def test_a_bound_is_the_midpoint_or_right_above_it(threshold: float) -> None:
    """Ties go to the even one of two floats."""
    below, above = float(np.float32(threshold)), float(np.nextafter(np.float32(threshold), np.float32(np.inf)))
    middle = (below + (2.0**128 if above == np.inf else above)) / 2
    assert bound(threshold, SINGLE) in (middle, math.nextafter(middle, math.inf))


@given(FLOATS)
def test_doubles_are_not_rounded(threshold: float) -> None:
    assert bound(threshold, DOUBLE) == math.nextafter(threshold, math.inf)


@given(st.integers(-(2**40), 2**40))
def test_integers_are_compared_as_they_are(threshold: int) -> None:
    found = turns(Made(0, INTEGER), INTEGER, lambda values: values >= threshold, 1)
    assert (found.bounds.tolist(), found.side.tolist()) == ([threshold], [1])


def test_what_falls_turns_the_other_way() -> None:
    made = Made(0, SINGLE).then(lambda x: -x)
    found = turns(made, SINGLE, lambda values: values >= np.float32(3), 1)
    assert found.side.tolist() == [-1]
    assert found.bounds[0] == math.nextafter((-3 + float(np.nextafter(np.float32(-3), np.float32(0)))) / 2, 0)


def test_what_never_turns_tells_its_outcome() -> None:
    made = Made(0, SINGLE).then(lambda x: np.clip(x, np.float32(0), np.float32(1)))
    limits = np.array([-1, 0, 1, 2], np.float32)
    found = turns(made, SINGLE, lambda values: values >= limits, 4)
    assert (found.side.tolist(), found.always.tolist()[::3]) == ([0, 0, 1, 0], [True, False])
    assert found.always[1]


@pytest.mark.parametrize("kind", [SINGLE, DOUBLE, INTEGER, np.dtype(np.int32)])
def test_places_rise_with_values(kind: np.dtype) -> None:
    values = np.array([-7, -1, 0, 1, 2, 100], kind)
    if kind.kind == "f":
        tiny = np.nextafter(kind.type(0), kind.type(1))
        values = np.sort(np.concatenate([values, np.array([-np.inf, np.inf, tiny, -tiny, np.finfo(kind).max], kind)]))
    places = place_of(values)
    assert (np.diff(places) > 0).all()
    assert value_at(places, kind).tolist() == values.tolist()
    assert place_of(np.array([-0.0], kind)).tolist() == [0]
