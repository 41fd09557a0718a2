"""Which columns spoke, held to brute force: rows of numbers, encoded and scored by code of this file alone."""

from __future__ import annotations

import random as chance
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from forests import grown, skinny
from networks import random_network

from ebpfnn.errors import InputError, NotSupported
from ebpfnn.explain import Column, Explanation, Levels, explain, told
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.calibration import Calibration
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Dense, Requantization
from ebpfnn.network.model import Model
from ebpfnn.network.preparation import Preparation
from ebpfnn.plugin import Plugins
from ebpfnn.trees import Forest

PLUGINS = Plugins.installed()
LABELS = ("benign", "scan", "flood")
Described = list[dict[str, Any]]
Row = Mapping[str, int | float]
PLAIN: Described = [
    {"name": "packets", "type": "integer", "encode": "bins", "bounds": [3, 5, 9, 12], "step": 60},
    {"name": "ratio", "type": "float", "encode": "bins", "bounds": [-0.5, 0.0, 0.25, 7.5]},
    {"name": "never", "type": "integer", "encode": "bins", "bounds": [1, 1 << 62], "step": 127},
    {"name": "wide", "type": "integer", "encode": "bins", "bounds": list(range(2, 602, 2))},
]
LIT: Described = [
    {"name": "packets", "type": "integer", "encode": "thermometer", "bounds": [1, 4, 6, 20]},
    {"name": "gap", "type": "integer", "encode": "thermometer", "bounds": [7]},
    {"name": "length", "type": "integer", "encode": "thermometer", "bounds": list(range(5, 50, 5))},
]


def encoded(columns: Described, row: Row) -> list[int]:
    """docs/preparation.md, *columns*."""
    found: list[int] = []
    for column in columns:
        reached = [int(row[column["name"]] >= bound) for bound in column["bounds"]]
        if column["encode"] == "thermometer":
            found += reached
        else:
            found += [column.get("step", 1) * sum(reached[first : first + 255]) for first in range(0, len(reached), 255)]
    return found


def scored(model: Model, sample: Sequence[int]) -> list[int]:
    """The scores of a forest, or of a network of one layer whose scores are its sums."""
    if isinstance(model, Forest):
        return [
            base + sum(leaf[label] for leaf in (leaf_of(tree, sample) for tree in model.trees))
            for label, base in enumerate(model.base)
        ]
    assert isinstance(model, QuantizedNetwork)
    (layer,) = model.layers
    assert isinstance(layer, Dense)
    sums = zip(layer.weights.tolist(), layer.bias.tolist(), strict=True)
    return [bias + sum(weight * value for weight, value in zip(weights, sample, strict=True)) for weights, bias in sums]


def leaf_of(tree: Any, sample: Sequence[int]) -> list[int]:
    at = 0 if len(tree.values) else -1
    while at >= 0:
        at = tree.children[at][1 if sample[tree.values[at]] >= tree.thresholds[at] else 0]
    found: list[int] = tree.leaves[-1 - at].tolist()
    return found


def outcome(model: Model, scores: Sequence[int]) -> tuple[str, bool]:
    label = model.labels[scores.index(max(scores))]
    ordered = sorted(scores, reverse=True)
    calibration = model.calibration
    return label, calibration is None or label == calibration.spared or ordered[0] - ordered[1] >= calibration.margin


def form(columns: Described) -> InputFormat:
    size = len(encoded(columns, {column["name"]: 0 for column in columns}))
    return InputFormat((size,), prepared=Preparation("columns", {"columns": columns}))


def network(columns: Described, seed: int) -> Model:
    random, shape = np.random.default_rng(seed), form(columns)
    weights = random.integers(-127, 128, (len(LABELS), shape.size)).astype(np.int8)
    one = np.full(len(LABELS), 1 << 20, np.int32)
    layer = Dense(
        weights,
        random.integers(-9000, 9000, len(LABELS)).astype(np.int32),
        Requantization(one, one, 20, -(1 << 31), (1 << 31) - 1, 0, 1.0),
    )
    return QuantizedNetwork("net", shape, LABELS, (layer,))


def trees(count: int) -> Callable[[Described, int], Model]:
    def made(columns: Described, seed: int) -> Model:
        random, shape = np.random.default_rng(seed), form(columns)
        if columns is LIT:
            grow = [grown(random, 5, shape.size, len(LABELS)) for _ in range(count)]
            grow = [replace(tree, thresholds=np.ones_like(tree.thresholds)) for tree in grow]
        else:
            grow = [(skinny if seed % 3 == 2 else grown)(random, 6, shape.size, len(LABELS)) for _ in range(count)]
        return Forest("trees", shape, LABELS, tuple(grow), (5, -7, 0))

    return made


def rows(columns: Described, choose: chance.Random, count: int) -> list[Row]:
    """At and beside the bounds, at the ends, and anywhere."""

    def cell(column: dict[str, Any]) -> int | float:
        bound = choose.choice(column["bounds"])
        if column["type"] == "float":
            return choose.choice([bound, bound - 1e-9, -1e300, 1e300, 0.1])
        return choose.choice([bound, max(bound - 1, 0), 0, (1 << 64) - 1, choose.randrange(900)])

    return [{column["name"]: cell(column) for column in columns} for _ in range(count)]


def explained(model: Model, columns: Described, row: Row, usual: Sequence[Row]) -> Explanation:
    levels = Levels(model, PLUGINS)
    samples = np.array([encoded(columns, each) for each in usual], np.uint8)
    return explain(model, levels, levels.values(row), levels.typical(samples), PLUGINS)


def inside(value: float, interval: tuple[Any, Any]) -> bool:
    low, high = interval
    return (low is None or value >= low) and (high is None or value < high)


MODELS = [network, trees(1), trees(5)]


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("columns", [PLAIN, LIT], ids=["bytes", "thermometers"])
@pytest.mark.parametrize("make", MODELS, ids=["network", "tree", "forest"])
@pytest.mark.parametrize("seed", range(4))
def test_columns_carry_what_brute_force_says(
    make: Callable[..., Model], columns: Described, seed: int, calibrated: bool
) -> None:
    choose, model = chance.Random(seed), make(columns, seed)
    if calibrated:
        model = replace(model, calibration=Calibration("benign", choose.choice([0, 300, 3000]), 0.01, 9, 1, 0, 0.5))  # type: ignore[type-var]
    usual = rows(columns, choose, choose.choice([1, 2, 5, 8]))
    median = {c["name"]: sorted(each[c["name"]] for each in usual)[(len(usual) - 1) // 2] for c in columns}
    for row in rows(columns, choose, 3):
        found = explained(model, columns, row, usual)
        scores = scored(model, encoded(columns, row))
        label, counts = outcome(model, scores)
        assert (found.label, found.counts) == (label, counts if calibrated else None)
        index, ordered = LABELS.index(label), sorted(scores, reverse=True)
        against = (
            0 if calibrated and index else max((each for each in range(3) if each != index), key=lambda each: scores[each])
        )
        assert (found.against, found.margin) == (LABELS[against], ordered[0] - ordered[1])
        lead = partial(lead_of, model, columns, index, against)
        assert (found.lead, found.typical_lead) == (lead(row), lead(median))
        assert [c.carried for c in found.columns] == sorted((c.carried for c in found.columns), reverse=True)
        assert {c.name for c in found.columns} == set(row)
        for column in found.columns:
            assert column.value == row[column.name]
            assert inside(row[column.name], column.interval)
            assert inside(median[column.name], column.typical)
            assert column.carried == lead(row) - lead({**row, column.name: median[column.name]})
            check_flips(model, columns, row, column)
        check_together(model, columns, row, median, found)


def lead_of(model: Model, columns: Described, index: int, against: int, row: Row) -> int:
    scores = scored(model, encoded(columns, row))
    return scores[index] - scores[against]


def check_flips(model: Model, columns: Described, row: Row, column: Column) -> None:
    """Tries a value in each interval between bounds, the nearest first."""
    (described,) = (each for each in columns if each["name"] == column.name)
    bounds, now = described["bounds"], outcome(model, scored(model, encoded(columns, row)))
    least = bounds[0] - 1
    higher = [bound for bound in bounds if bound > row[column.name]]
    lower = [each for each in [least, *bounds] if each <= row[column.name]][-2::-1] if row[column.name] > least else []
    for flip, tried in ((column.above, higher), (column.below, lower)):
        changed = ((value, outcome(model, scored(model, encoded(columns, {**row, column.name: value})))) for value in tried)
        expected = next(((value, each) for value, each in changed if each != now), None)
        assert (flip is None) == (expected is None), (column, expected)
        if flip and expected:
            assert (flip.label, flip.counts) == expected[1]
            assert inside(expected[0], (flip.low, flip.high))
            assert flip.low in (*bounds, None)
            assert flip.high in (*bounds, None)


def check_together(model: Model, columns: Described, row: Row, median: Row, found: Explanation) -> None:
    now, changed = outcome(model, scored(model, encoded(columns, row))), dict(row)
    expected: tuple[str, ...] = ()
    for place, column in enumerate(found.columns, 1):
        changed[column.name] = median[column.name]
        if outcome(model, scored(model, encoded(columns, changed))) != now:
            expected = tuple(each.name for each in found.columns[:place])
            break
    assert found.together == expected


@pytest.mark.parametrize("columns", [PLAIN, LIT], ids=["bytes", "thermometers"])
@pytest.mark.parametrize("seed", range(12))
def test_the_path_of_a_tree_is_what_keeps_it_at_its_leaf(columns: Described, seed: int) -> None:
    choose, model = chance.Random(seed), trees(1)(columns, seed)
    assert isinstance(model, Forest)
    (tree,) = model.trees
    for row in rows(columns, choose, 6):
        path = explained(model, columns, row, [row]).path
        leaf = leaf_number(tree, encoded(columns, row))
        assert all(inside(row[each.column], (each.low, each.high)) for each in path)
        for _ in range(20):
            other = rows(columns, choose, 1)[0]
            held = {**other, **{each.column: pick(choose, row, each, columns) for each in path}}
            assert leaf_number(tree, encoded(columns, held)) == leaf
        for each in path:
            for value in beyond(each, columns):
                assert leaf_number(tree, encoded(columns, {**row, each.column: value})) != leaf


def leaf_number(tree: Any, sample: Sequence[int]) -> int:
    at = 0 if len(tree.values) else -1
    while at >= 0:
        at = int(tree.children[at][1 if sample[tree.values[at]] >= tree.thresholds[at] else 0])
    return at


def pick(choose: chance.Random, row: Row, condition: Any, columns: Described) -> int | float:
    """Another value that meets the condition."""
    (column,) = (each for each in columns if each["name"] == condition.column)
    able = [bound for bound in column["bounds"] if inside(bound, (condition.low, condition.high))]
    return choose.choice([*able, row[condition.column]])


def beyond(condition: Any, columns: Described) -> list[int | float]:
    """The values right beyond its limits."""
    (column,) = (each for each in columns if each["name"] == condition.column)
    below = (
        [] if condition.low is None else [max((b for b in column["bounds"] if b < condition.low), default=condition.low - 1)]
    )
    return below + ([] if condition.high is None else [condition.high])


EVENTS: dict[str, Any] = {
    "spec": {"name": "s", "key": "source", "event": [{"trigger": "xdp"}], "column": [{"name": "n", "reduce": "count"}]},
    "trigger": "xdp",
    "mode": "",
}


def test_results_of_events_are_never_negative() -> None:
    columns: Described = [{"name": "n", "type": "integer", "encode": "bins", "bounds": [0, 5], "step": 80}]
    plain = network(columns, 3)
    assert isinstance(plain, QuantizedNetwork)
    layer = plain.layers[0]
    assert isinstance(layer, Dense)
    steep = replace(layer, weights=np.array([[0], [-100], [0]], np.int8), bias=np.array([0, 3000, -1], np.int32))
    of_table = replace(plain, layers=(steep,))
    for model, below in ((of_table, (None, 0)), (replace(of_table, events=EVENTS), None)):
        (column,) = explained(model, columns, {"n": 3}, [{"n": 3}]).columns
        assert (column.below and (column.below.low, column.below.high)) == below
        assert column.above is None


def test_values_have_no_other_outcome() -> None:
    made = trees(3)(PLAIN, 4)
    assert isinstance(made, Forest)
    one = tuple(replace(tree, leaves=np.ascontiguousarray(tree.leaves[:, :1])) for tree in made.trees)
    value = replace(made, trees=one, base=(5,), labels=("size",), result="value")
    row = {"packets": 4, "ratio": 0.1, "never": 0, "wide": 77}
    found = explained(value, PLAIN, row, [{"packets": 0, "ratio": 9.0, "never": 5, "wide": 800}])
    assert (found.lead, found.against, found.counts, found.together) == (scored(value, encoded(PLAIN, row))[0], "", None, ())
    assert all(each.below is None is each.above for each in found.columns)
    assert [each.name for each in told(found)] == [each.name for each in found.columns if each.carried]


def test_vectors_are_refused() -> None:
    made = replace(network(PLAIN, 1), result="vector")
    row = {"packets": 4, "ratio": 0.1, "never": 0, "wide": 77}
    with pytest.raises(NotSupported, match="gives vectors; only labels, values and anomaly scores can be explained"):
        explained(made, PLAIN, row, [row])


def test_what_has_no_columns_and_rows_that_lack_one() -> None:
    with pytest.raises(NotSupported, match="its samples are prepared by 'raw', so they have no columns; give a model"):
        Levels(random_network((9, 5, 3), seed=1), PLUGINS)
    levels = Levels(network(PLAIN, 1), PLUGINS)
    with pytest.raises(InputError, match="no column 'wide'; did you mean 'wode'"):
        levels.values({"packets": 1, "ratio": 2, "never": 3, "wode": 4})
    with pytest.raises(InputError, match="column 'never': 'x' is not a number"):
        levels.values({"packets": 1, "ratio": 2, "never": "x", "wide": 4})
    assert levels.values({"packets": "3", "ratio": "2.5", "never": 3.0, "wide": 4}) == [3, 2.5, 3, 4]
    assert levels.fits((4, 4, 2, 300))
    assert not levels.fits((4, 4, 2, 301))
    assert not levels.fits((4, 4, 2))
