"""Which layers of tables list their groups, and what the list costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimates import check_estimates
from networks import random_network
from tablelayers import binary_form, grouped, two_layers

from ebpfnn.compiler import KernelFeatures, compile_network, cost, limits
from ebpfnn.compiler.branches import plan_branches, price
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.compiler.plan import BLANK_TABLES, LISTED_TABLES, TABLES, DensePlan, TablePlan
from ebpfnn.compiler.planner import plan_network
from ebpfnn.compiler.table_list import MOST_BYTES, TABLE_BYTES, entries
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.layers import Table


def net(outputs: int, *, inputs: int = 784, share: float | None = 0.3) -> QuantizedNetwork:
    """A ``share`` of groups is occupied, independently of one another; None: nobody knows."""
    found = two_layers(binary_form(inputs, packed=True), grouped(inputs, 8), outputs, 1, blank=0)
    first = found.layers[0]
    assert isinstance(first, Table)
    if share is None:
        return found
    seen = np.random.default_rng(1).random((64, first.groups)) < share
    return replace(found, layers=(replace(first, occupied=np.packbits(seen, axis=1)), *found.layers[1:]))


def shape(of: QuantizedNetwork) -> str:
    return plan_network(of).layers[0].shape


def test_rows_of_many_words_are_listed() -> None:
    assert [shape(net(outputs)) for outputs in (16, 48, 49, 64, 128)] == [TABLES, TABLES] + 3 * [LISTED_TABLES]


def test_what_is_seldom_blank_or_unknown_is_not_listed() -> None:
    assert shape(net(64, share=0.9)) == TABLES
    assert shape(net(64, share=None)) == TABLES
    assert shape(net(64, share=0)) == BLANK_TABLES


def test_a_list_tells_bytes_apart() -> None:
    assert shape(net(64, inputs=8 * MOST_BYTES)) == LISTED_TABLES
    assert shape(net(64, inputs=8 * MOST_BYTES + 1)) != LISTED_TABLES


def test_the_cheaper_one_is_taken() -> None:
    tested = net(64, share=0.5)
    first = plan_network(tested).layers[0]
    assert isinstance(first, TablePlan)
    occupied = first.tables.occupied
    runs = price(plan_branches(occupied, cost.table_row(8)), occupied, cost.table_row(8))
    assert (cost.listed_rows(98, float(occupied.mean()), 8, 1) < runs) == first.listed


def test_entries() -> None:
    table = entries()
    assert table.nbytes == TABLE_BYTES
    assert table[0b10010010].tolist() == [1, 4, 7] + 5 * [0] + [3] + 7 * [0]
    assert table[255].tolist() == [*range(8), 8] + 7 * [0]


@pytest.mark.parametrize("features", [NEWEST, MIDDLE, OLDEST], ids=["iterators", "callbacks", "walked"])
def test_estimates(features: KernelFeatures) -> None:
    for outputs in (49, 64, 104, 128):
        for inputs in (784, 778, 400):
            tested = net(outputs, inputs=inputs, share=0.2)
            assert shape(tested) == LISTED_TABLES
            check_estimates(tested, features)


def test_a_verifier_that_keeps_few_branches_gets_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_FORKS", 50)
    assert compile_network(net(64)).layers[0].shape == TABLES


@pytest.mark.parametrize("features", [NEWEST, MIDDLE, OLDEST], ids=["iterators", "callbacks", "walked"])
def test_estimates_of_dense_layers_that_list_their_bytes(features: KernelFeatures) -> None:
    for architecture in ("32-10", "64-10"):
        for packed in (True, False):
            tested = replace(random_network(f"784-{architecture}", 1, (784,), bits=1, packed=packed), density=(0.12, 1.0))
            first = plan_network(tested, features).layers[0]
            assert isinstance(first, DensePlan)
            assert first.rows
            assert first.rows.listed
            check_estimates(tested, features)
