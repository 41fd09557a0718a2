"""Sums of a table layer that stay in registers: for the layer behind it, and for the label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimates import check_estimates
from networks import requantization
from tablelayers import binary_form, grouped, table, tail, two_layers

from ebpfnn.compiler import compile_network
from ebpfnn.compiler.features import NEWEST
from ebpfnn.compiler.plan import TablePlan
from ebpfnn.compiler.planner import plan_network
from ebpfnn.compiler.sample import SampleForm
from ebpfnn.compiler.table_tail import MOST_WORDS
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.layers import Table
from ebpfnn.network.network import Next


def net(outputs: int, **fields: int) -> QuantizedNetwork:
    return two_layers(binary_form(784, packed=True), grouped(784, 8), outputs, 1, **fields)


def layer_plans(of: QuantizedNetwork) -> tuple[TablePlan, TablePlan]:
    first, second = plan_network(of).layers
    assert isinstance(first, TablePlan)
    assert isinstance(second, TablePlan)
    return first, second


@pytest.mark.parametrize(("outputs", "stays"), [(3, True), (16, True), (40, True), (41, False), (64, False), (130, False)])
def test_sums_stay_in_registers_where_both_layers_fit(outputs: int, stays: bool) -> None:
    first, second = layer_plans(net(outputs))
    assert (first.whole, first.kept, second.behind) == (True, stays, True)
    assert (first.behind, second.kept) == (False, False)
    assert stays == (first.words * first.tiles + second.words <= MOST_WORDS)


def test_sums_of_several_bytes_a_number_go_through_memory() -> None:
    one = net(16, shift=4)
    first = one.layers[0]
    assert isinstance(first, Table)
    pairs = table(grouped(16, 2), 10, np.random.default_rng(1), bits=4)
    paired = replace(one, layers=(first, pairs))
    assert [plan.whole or plan.kept or plan.behind for plan in layer_plans(paired)] == [False, False]
    check_estimates(paired, NEWEST)


def test_the_label_is_found_beside_few_sums_only() -> None:
    assert layer_plans(net(16))[1].labels
    assert not layer_plans(net(16, classes=30))[1].labels
    moved = net(16)
    first = moved.layers[0]
    assert isinstance(first, Table)
    last = tail(first, 10, np.random.default_rng(1), by=requantization(10, zero_point=1))
    assert not layer_plans(replace(moved, layers=(first, last)))[1].labels


def test_a_cascade_asks_for_the_margin() -> None:
    first = net(16)
    assert not layer_plans(first)[1].margin
    both = replace(first, then=Next(net(32), 3))
    assert layer_plans(both)[1].margin
    check_estimates(both, NEWEST)


def test_more_words_go_through_memory_whole() -> None:
    first, second = layer_plans(net(64, shift=2))
    assert (first.whole, first.kept, second.behind) == (True, False, True)
    assert second.tables.numbers == 64
    assert compile_network(net(64, shift=2)).layers[1].instructions < 64 * 8 + 160  # 8 a row, and the scores


@pytest.mark.parametrize("outputs", [16, 32])
def test_numbers_that_are_made_on_the_way_have_estimates(outputs: int) -> None:
    form = binary_form(784)
    assert form.thresholds[0] % 2 == 0
    for order in (grouped(784, 8), grouped(784, 5), grouped(784, 8, np.random.default_rng(1))):
        compared = two_layers(form, order, outputs, 1)
        first = compared.layers[0]
        assert isinstance(first, Table)
        seen = np.packbits(np.random.default_rng(2).random((64, first.groups)) < 0.05, axis=1)
        compared = replace(compared, layers=(replace(first, occupied=seen), *compared.layers[1:]))
        assert plan_network(compared).sample is SampleForm.COMPARED_GROUPS
        check_estimates(compared, NEWEST)
