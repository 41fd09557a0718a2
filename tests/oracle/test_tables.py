"""Tables, byte lanes and cascades: the oracle's arithmetic by numbers worked out on paper, and what is drawn of each kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from ebpfnn import QuantizedNetwork
from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import ByteLanes, Conv2d, Requantization, Table
from ebpfnn.network.network import Next

from . import arithmetic, corners, generate, tables

ONE = np.full(2, 1 << 7, np.int32)
IDENTITY = Requantization(ONE, ONE, 7, -(2**31), 2**31 - 1)


def table(by: Requantization | ByteLanes, bits: int, order: list[list[int]], *rows: tuple[int, int, list[int]]) -> Table:
    """Two outputs; ``rows`` are group, number and what is in it."""
    entries = np.zeros((len(order), 1 << bits * len(order[0]), 2), np.int16)
    for group, number, row in rows:
        entries[group, number] = row
    return Table(entries, np.zeros(2, np.int32), np.array(order, np.int32), by, bits)


def test_tables_by_hand() -> None:
    """What "Tables by hand" in docs/quantization.md comes to."""
    form = InputFormat((4,), 1, (1,), True, order=(2, 0, 3, 1))
    first = table(ByteLanes(2), 1, [[2, 0], [3, 1]], (0, 3, [100, -3]), (1, 2, [60, 5]))
    first = replace(first, bias=np.array([-20, 13], np.int32))
    last = table(IDENTITY, 6, [[0], [1]], (0, 3, [4, -1]), (1, 36, [-7, 9]))
    sample = np.array([[1, 0, 1, 1]], np.uint8)
    assert arithmetic.given_bytes(form, sample).tolist() == [[0xE0]]
    assert tables.row_numbers(first, [1, 0, 1, 1]) == [3, 2]
    assert tables.sums(first, sample.astype(np.int64)).tolist() == [[140, 15]]
    assert tables.byte_lanes(2, np.array([[140, 15]])).tolist() == [[3, 36]]
    tested = QuantizedNetwork("by hand", form, ("0", "1"), (first, last))
    other = replace(tested, layers=(first, replace(last, bias=np.array([77, 7], np.int32))))
    for scores in (arithmetic.scores, reference.scores):
        assert scores(tested, sample).tolist() == [[-3, 8]]
        assert scores(replace(tested, then=Next(other, 11)), sample).tolist() == [[-3, 8]]
        assert scores(replace(tested, then=Next(other, 12)), sample).tolist() == [[74, 15]]


def test_a_byte_carries_into_the_next_of_its_word() -> None:
    acc = np.array([[-129, 0, 128, 127, 0, 0, 0, 128, 0], [-384, -128, -128, -128, -128, -128, -128, -128, -128]])
    wanted = [[255, 127, 0, 0, 129, 128, 128, 0, 128], [0, 255, 255, 255, 255, 255, 255, 255, 0]]
    assert tables.byte_lanes(0, acc).tolist() == wanted
    assert tables.byte_lanes(7, acc).tolist() == [[value // 128 for value in values] for values in wanted]


def test_levels_of_a_row_are_above_the_lowest_value_and_holes_are_0() -> None:
    layer = replace(table(IDENTITY, 2, [[1, -1, 0], [-1, 2, 3]]), low=-2)
    assert tables.row_numbers(layer, [-2, 1, 0, -1]) == [3 * 16, 2 * 4 + 1]


def test_the_lead_is_0_where_two_scores_are_best() -> None:
    assert [arithmetic.lead(found) for found in ([7, -3, 7], [-3, 2], [5, 1, 4, 4])] == [0, 5, 1]


def test_tables_and_cascades_are_of_every_kind() -> None:
    """Of 350 networks, so many as make it no chance that a kind is there: one that is gone would be missed by nobody else."""
    found: Counter[str] = Counter()
    for seed in range(350):
        network = generate.network(seed)
        samples = corners.judged(network.input, seed)
        of_tables = {kind for stage in network.stages for kind in _kinds(stage, samples[:12])}
        found.update(of_tables | set(_kinds_of_cascade(network, samples)))
    assert {kind: found[kind] for kind in WANTED if found[kind] < 3} == {}
    assert 60 < found["tables"] < 150
    assert 25 < found["cascade"] < 75


WANTED = (
    *("last", "order", "order of packing", "bytes are rows", "holes", "holes within", "blank group", "one member"),
    *(f"{bits} bits a member" for bits in range(1, 9)),
    *("signed levels", "bits to spare", "row 0 is 0", "row 0 is not 0", "16 bits", "occupied", "identity"),
    *("byte lanes", "shifted", "exact", "wraps", "carries", "borrows", "whole words", "part of a word", "score table"),
    *("three stages", "four stages", "some go on", "all go on", "none goes on", "lead is the margin"),
    *("other levels", "own thresholds in two stages", "convolution behind tables", "packed", "packed in order"),
)


def _kinds(network: QuantizedNetwork, samples: np.ndarray) -> list[str]:
    kinds, before = [], None
    values = arithmetic.levels(network.input, samples).reshape(samples.shape)
    for layer, (low, high) in zip(network.layers, network.ranges, strict=True):
        if not isinstance(layer, Table):
            values = arithmetic.apply(layer, values)
            continue
        acc, by = tables.sums(layer, values), layer.requantization
        kinds += [*_kinds_of_rows(layer, network.input), *(_kinds_of_lanes(by, acc) if isinstance(by, ByteLanes) else ())]
        facts = {
            "last": layer is network.layers[-1],
            "score table": layer is network.layers[-1] and isinstance(before, ByteLanes) and layer.order.shape[1] == 1,
            "bits to spare": 2 * (high - low) < 1 << layer.bits,
            "identity": isinstance(by, Requantization) and bool((by.positive == 1 << by.shift).all()),
        }
        kinds += [name for name, holds in facts.items() if holds]
        values, before = arithmetic.activate(by, acc), by
    return kinds


def _kinds_of_rows(layer: Table, form: InputFormat) -> list[str]:
    order, named = layer.order, [member for member in layer.order.ravel().tolist() if member >= 0]
    facts = {
        "tables": True,
        f"{layer.bits} bits a member": True,
        "order": named != sorted(named),
        "order of packing": bool(form.order) and named == list(form.order),
        "bytes are rows": form.packed and form.bits == layer.bits == 1 and named == list(form.order or range(form.size)),
        "holes": -1 in order,
        "holes within": bool((np.diff((order >= 0).astype(int), axis=1) > 0).any()),
        "blank group": bool((order < 0).all(axis=1).any()),
        "one member": order.shape[1] == 1,
        "signed levels": layer.low < 0,
        "row 0 is 0": not layer.tables[:, 0].any(),
        "row 0 is not 0": bool(layer.tables[:, 0].any()),
        "16 bits": int(np.abs(layer.tables.astype(int)).max()) > 128,
        "occupied": bool(layer.occupied.any()),
    }
    return [name for name, holds in facts.items() if holds]


def _kinds_of_lanes(by: ByteLanes, acc: np.ndarray) -> list[str]:
    lanes, last = acc + 128, acc.shape[1] - 1
    facts = {
        "byte lanes": True,
        "shifted": by.shift > 0,
        "exact": by.exact,
        "wraps": bool((lanes != lanes % 256).any()),
        "carries": bool((lanes[:, :last] > 255).any()),
        "borrows": bool((lanes[:, :last] < 0).any()),
        "whole words": last % 8 == 7,
        "part of a word": last % 8 < 7,
    }
    return [name for name, holds in facts.items() if holds]


def _kinds_of_cascade(network: QuantizedNetwork, samples: np.ndarray) -> list[str]:
    if network.then is None:
        return []
    stages, form = network.stages, network.input
    leads = [arithmetic.lead(found) for found in arithmetic.own_scores(network, samples).tolist()]
    on = sum(lead < network.then.margin for lead in leads)
    behind = [layer for stage in stages[1:] for layer in stage.layers]
    facts = {
        "cascade": True,
        "three stages": len(stages) == 3,
        "four stages": len(stages) == 4,
        "some go on": 0 < on < len(leads),
        "all go on": on == len(leads),
        "none goes on": on == 0,
        "lead is the margin": network.then.margin in leads,
        "other levels": any(stage.input != form for stage in stages),
        "own thresholds in two stages": not form.packed and sum(bool(stage.input.value_thresholds) for stage in stages) > 1,
        "convolution behind tables": isinstance(network.layers[0], Table) and any(isinstance(each, Conv2d) for each in behind),
        "packed": form.packed,
        "packed in order": bool(form.order),
    }
    return [name for name, holds in facts.items() if holds]
