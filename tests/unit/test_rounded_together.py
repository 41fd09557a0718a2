"""Ranges of columns, and weights that are rounded together."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from pipelines import samples

from ebpfnn.errors import ModelError
from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.preparation import Preparation
from ebpfnn.quantize import ranges
from ebpfnn.quantize.compensation import compensated, settled
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import Activation, FloatDense, Network
from ebpfnn.quantize.quantization import quantize
from ebpfnn.quantize.ranges import Coded

RANDOM = np.random.default_rng(4)


def worth(column: Coded, value: float) -> float:
    """What the bytes of ``value`` stand for: the middle of its step, in exact fractions."""
    step = Fraction(column.step)
    level = (Fraction(value) - Fraction(column.low)) // step
    level = min(max(level, 0), 255 * column.count)
    return float(Fraction(column.low) + (level + Fraction(1, 2)) * step)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "values",
    [np.arange(17.0), np.array([0.0, 16.0, 5.0]), np.arange(-60, 61) * 1.0, np.arange(8) * 0.1, np.array([7.0]), np.zeros(3)],
    ids=["0..16", "few", "-60..60", "tenths", "one value", "zeros"],
)
def test_multiples_of_a_unit_are_exact(values: np.ndarray, count: int) -> None:
    column = ranges.of_values("x", values, count)
    for value in values:
        assert worth(column, value) == pytest.approx(value, abs=1e-9)
    assert column.low < values.min() - values.std()
    assert column.high > values.max() + values.std()


def test_between_units_steps_stay_fine() -> None:
    column = ranges.of_values("x", np.arange(17.0), 1)
    for value in RANDOM.uniform(0, 16, 50):
        assert abs(worth(column, value) - value) <= column.step / 2 + 1e-9
    assert column.step <= 0.125


def test_other_values_have_even_steps() -> None:
    values = RANDOM.normal(100, 5, 1000)
    one, three = ranges.of_values("x", values, 1), ranges.of_values("x", values, 3)
    assert (one.low, one.high) == pytest.approx((values.min() - values.std(), values.max() + values.std()))
    assert (three.low, three.high) == pytest.approx((one.low, one.high))
    assert three.step == pytest.approx(one.step / 3)


def test_the_preparation_counts_the_steps() -> None:
    """Bytes of the plugin, which compares with bounds, beside fractions."""
    column = ranges.of_values("x", np.array([0.0, 1.37, 11.1, 40.0]), 2)
    options = {"columns": [column.described()]}
    form = InputFormat((2,), prepared=Preparation("columns", options))
    network = quantize(
        Network("net", form, ("a",), (FloatDense(np.ones((1, 2), np.float32), np.zeros(1, np.float32)),)),
        np.zeros((1, 2), np.uint8),
    )
    values = np.concatenate([RANDOM.uniform(-30, 90, 300), [column.low, column.high, -1e9, 1e9]])
    for value, sample in zip(values, samples(network, values[:, None]), strict=True):
        level = int(sample.astype(int).sum())
        assert sample[0] == min(level, 255)
        assert column.low + (level + 0.5) * column.step == pytest.approx(worth(column, value), abs=1e-6 * column.step)


def test_compensation_loses_less_where_inputs_move_together() -> None:
    given = RANDOM.normal(size=(500, 3)) @ RANDOM.normal(size=(3, 24)) + 0.05 * RANDOM.normal(size=(500, 24))
    given -= given.mean(axis=0)
    weights = RANDOM.normal(size=(10, 24)) * 20
    steps = compensated(weights, given, 127)
    assert np.array_equal(steps, np.rint(steps))
    assert np.abs(steps).max() <= 127
    plain, together = (np.square(given @ (weights - each).T).mean() for each in (np.rint(weights), steps))
    assert together < plain / 5


def test_compensation_keeps_what_is_whole() -> None:
    weights = RANDOM.integers(-127, 128, (4, 9)).astype(np.float64)
    np.testing.assert_array_equal(compensated(weights, RANDOM.normal(size=(50, 9)), 127), weights)
    np.testing.assert_array_equal(compensated(weights, np.zeros((50, 9)), 127), weights)
    assert np.abs(compensated(weights, RANDOM.normal(size=(50, 9)), 3)).max() == 3


def network(last: int = 3, scale: float = 1.0) -> Network:
    first = FloatDense((RANDOM.normal(size=(16, 12)) * scale).astype(np.float32), np.ones(16, np.float32), Activation(0.0))
    second = FloatDense(RANDOM.normal(size=(last, 16)).astype(np.float32), np.ones(last, np.float32))
    return Network("net", InputFormat((12,)), tuple("abc"[:last]), (first, second))


def test_settled_scores_are_nearer_to_floats() -> None:
    floats = network()
    base = RANDOM.integers(0, 256, (600, 3)) @ RANDOM.dirichlet(np.ones(3), 12).T
    given = base.round().astype(np.uint8)
    settled_floats = settled(floats, given)
    wanted = logits(floats, given)
    errors = []
    for each in (floats, settled_floats):
        integers = quantize(each, given)
        errors.append(np.abs(reference.scores(integers, given) * integers.score_scale - wanted).mean())
    assert errors[1] < 0.7 * errors[0]
    for one, other in zip(quantize(settled_floats, given).layers, settled_floats.layers, strict=True):
        steps = other.weights / other.weight_scale[:, None]
        np.testing.assert_array_equal(one.weights, np.rint(steps))


def test_what_is_too_large_is_left_to_quantization() -> None:
    """Six layers of large weights leave float64."""
    floats = network()
    large = FloatDense(np.full((16, 16), 3e38, np.float32), np.zeros(16, np.float32), Activation(0.0))
    floats = replace(floats, layers=(floats.layers[0], *[large] * 8, floats.layers[1]))
    given = np.ones((5, 12), np.uint8)
    assert settled(floats, given).layers[-1] is floats.layers[-1]
    with pytest.raises(ModelError, match="has outputs that exceed float32; scale its weights down"):
        quantize(settled(floats, given), given)
