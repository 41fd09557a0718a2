"""Layers of tables: which bytes select rows, in which lanes they are added, which branches skip them, and cascades."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from estimates import check_estimates, plans
from hypothesis import given
from hypothesis import strategies as st
from networks import dense, network, own_format, random_network, requantization
from tablelayers import binary_form, grouped, table, tail, two_layers

from ebpfnn.compiler import KernelFeatures, branches, compile_network, cost, limits, plan_network, tables
from ebpfnn.compiler.branches import Run, plan_branches
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.compiler.lanes import Lanes
from ebpfnn.compiler.plan import BLANK_TABLES, TABLES, TablePlan
from ebpfnn.compiler.sample import SampleForm
from ebpfnn.errors import ModelError
from ebpfnn.network import QuantizedNetwork, encoding, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import ByteLanes, Table
from ebpfnn.network.network import Next

SEEDS = st.integers(0, 1 << 32)
of_every_kernel = pytest.mark.parametrize("features", [NEWEST, MIDDLE, OLDEST], ids=["iterators", "callbacks", "walked"])


@given(SEEDS, st.sampled_from([1, 2, 4]), st.sampled_from(["big", "little"]), st.integers(1, 70), st.booleans())
def test_the_row_of_a_byte_is_the_sum_of_what_lies_in_it(seed: int, bits: int, order: str, size: int, whole: bool) -> None:
    """Whatever fills the last byte; in groups as large as a byte, or smaller."""
    random = np.random.default_rng(seed)
    form = binary_form(size, bits, packed=True, bit_order=order)
    members = 8 // bits if whole else max(1, 4 // bits)
    layer = table(grouped(size, members), 5, random, bits=bits, largest=3000)
    shuffled = np.array([random.permutation(group) for group in layer.order], np.int32)
    layer = replace(layer, order=shuffled)
    how, found = tables.plan_first(form, layer)
    assert how is SampleForm.PACKED
    encoded = random.integers(0, 256, (20, form.sample_bytes)).astype(np.uint8)
    expected = reference.accumulate(layer, encoding.decode(form, encoded).astype(np.int64))
    selected = encoded[:, found.places[:, 0]]
    sums = found.rows[np.arange(found.groups), selected].sum(axis=1) + found.base
    assert sums.tolist() == expected.tolist()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_numbers_are_bytes_that_exist(bits: int) -> None:
    def how(form: InputFormat, members: int, random: np.random.Generator | None = None) -> SampleForm:
        layer = table(grouped(61, members, random), 3, np.random.default_rng(1), bits=bits)
        return tables.plan_first(form, layer)[0]

    beside = {1: SampleForm.GATHERED_BITS, 2: SampleForm.EVEN_SIDE_BY_SIDE, 4: SampleForm.EVEN_SIDE_BY_SIDE}[bits]
    even = replace(binary_form(61, bits), thresholds=tuple(256 * (n + 1) // 2**bits for n in range(2**bits - 1)))
    apart = {1: SampleForm.GROUPED_BITS, 2: SampleForm.EVEN_LEVELS, 4: SampleForm.EVEN_LEVELS}[bits]
    assert how(even, 8 // bits) is beside
    assert how(even, 8 // bits, np.random.default_rng(2)) is apart
    assert how(own_format(61, bits, 1), 8 // bits) is SampleForm.OWN_SIDE_BY_SIDE
    assert how(binary_form(61, bits, packed=True), 8 // bits, np.random.default_rng(2)) is SampleForm.TABLE_LEVELS


def test_lanes_are_as_narrow_as_is_proven() -> None:
    order = np.zeros((1, 1), np.int32)
    for span, expected in (
        (0, "64x1"),
        (1, "64x1"),
        (2, "32x2"),
        (1023, "6x10"),
        (1024, "5x12"),
        (4096, "4x16"),
        (65535, "4x16"),
    ):
        rows = np.array([[[-(span // 2)], [span - span // 2]]], np.int32).clip(-32768, 32767).astype(np.int16)
        layer = Table(rows, np.array([99999], np.int32), order, requantization(1))
        assert str(tables.choose_lanes(layer, tables.plan_later(layer, 0, 1))) == expected
    layer = replace(layer, tables=np.array([[[-9], [300]]], np.int16), requantization=ByteLanes(1))
    assert tables.choose_lanes(layer, tables.plan_later(layer, 0, 1)) == tables.EIGHT


def test_levels_that_are_never_given_need_no_room_in_a_lane() -> None:
    rows = np.zeros((1, 8, 1), np.int16)
    rows[0, 5:] = 30000
    layer = Table(rows, np.zeros(1, np.int32), np.zeros((1, 1), np.int32), requantization(1), 3)
    assert tables.plan_later(layer, 0, 4).groups == 0
    assert tables.plan_later(layer, 0, 5).highest().tolist() == [30000]


def test_groups_that_add_the_same_in_any_case_become_a_part_of_the_base() -> None:
    random = np.random.default_rng(2)
    order = np.append(grouped(40, 8), np.full((1, 8), -1, np.int32), axis=0)
    layer = table(order, 5, random)
    rows = layer.tables.copy()
    rows[1], rows[5, 0] = 7, 9
    for form in (binary_form(40, packed=True), binary_form(40)):
        _, found = tables.plan_first(form, replace(layer, tables=rows))
        assert found.groups == 4
        blank = found.base + found.rows[:, 0].sum(axis=0)
        assert blank.tolist() == (layer.bias + rows[:, 0].sum(axis=0, dtype=np.int64)).tolist()


@given(SEEDS, st.sampled_from([Lanes(8, 8), Lanes(12, 5), Lanes(21, 3)]))
def test_row_0_is_in_the_seeds(seed: int, lanes: Lanes) -> None:
    random = np.random.default_rng(seed)
    layer = table(grouped(40, 8), 11, random, largest=100)
    found = tables.plan_later(layer, 0, 1)
    begin = random.integers(0, 100, 11)
    rows, start = tables.row_words(lanes, found, begin)
    assert not rows[:, 0].any()
    numbers = random.integers(0, 256, 5)
    words = start + rows[np.arange(5), numbers].sum(axis=0, dtype=np.uint64)
    expected = lanes.pack(begin + layer.tables[np.arange(5), numbers].sum(axis=0, dtype=np.int64))
    assert words.tolist() == expected.tolist()


def price(runs: tuple[Run, ...], occupied: np.ndarray, row: float) -> float:
    shares = [float(occupied[:, run.start : run.end].any(axis=1).mean()) for run in runs]
    return sum(
        cost.asked(share, row * run.size) if run.asks else row * run.size for share, run in zip(shares, runs, strict=True)
    )


@given(SEEDS, st.integers(1, 30), st.sampled_from([5.0, 11.0, 19.0]))
def test_branches_pay(seed: int, groups: int, row: float) -> None:
    random = np.random.default_rng(seed)
    occupied = random.random((40, groups)) < random.random(groups) ** 3
    runs = plan_branches(occupied, row)
    assert [number for run in runs for number in range(run.start, run.end)] == list(range(groups))
    assert all(run.size <= branches.MOST_TOGETHER for run in runs if run.asks)
    alone = tuple(Run(number, number + 1, asks=True) for number in range(groups))
    assert price(runs, occupied, row) <= min(price(alone, occupied, row), price((Run(0, groups),), occupied, row)) + 1e-9


def test_the_border_shares_a_branch_and_uncertain_groups_have_none() -> None:
    occupied = np.zeros((100, 12), np.bool_)
    occupied[::2, 8:] = True
    assert plan_branches(occupied, 11.0) == (Run(0, 8, asks=True), Run(8, 12))
    assert plan_branches(occupied[1::2], 11.0)[-1].asks


def occupied_net(seed: int = 1) -> QuantizedNetwork:
    random = np.random.default_rng(seed)
    net = two_layers(binary_form(784, packed=True), grouped(784, 8), 32, seed, blank=0)
    first = net.layers[0]
    assert isinstance(first, Table)
    seen = random.random((64, 98)) < 0.05
    return replace(net, layers=(replace(first, occupied=np.packbits(seen, axis=1)), *net.layers[1:]))


def test_branches_need_to_know_what_is_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without calibration there are none, nor where the verifier could not keep as many."""
    net = occupied_net()
    assert compile_network(net).layers[0].shape == BLANK_TABLES
    first = net.layers[0]
    assert isinstance(first, Table)
    unknown = replace(net, layers=(replace(first, occupied=np.zeros((0, 0), np.uint8)), *net.layers[1:]))
    assert compile_network(unknown).layers[0].shape == TABLES
    monkeypatch.setattr(limits, "MOST_FORKS", 5)
    assert compile_network(net).layers[0].shape == TABLES


@of_every_kernel
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_estimates_of_tables(bits: int, features: KernelFeatures) -> None:
    random = np.random.default_rng(bits)
    for packed in (False, True)[: 1 + (bits < 8)]:
        size, few = 61 if bits < 8 else 29, max(1, 5 // bits)
        form = binary_form(size, bits, packed=packed)
        orders = grouped(size, 8 // bits), grouped(size, 8 // bits, random), grouped(size, few, random, gaps=0.3)
        for order, outputs in zip(orders, (90, 60, 3), strict=True):
            check_estimates(two_layers(form, order, outputs, bits), features)
            by = requantization(outputs, shift=34, low=-4, high=11)
            hidden = table(order, outputs, random, bits=bits, by=by, largest=3000)
            last = table(grouped(outputs, 2), 10, random, bits=4, low=-4)
            check_estimates(network([hidden, last], form), features)
            check_estimates(network([hidden, dense(np.ones((4, outputs)), np.arange(4))], form), features)
    check_estimates(occupied_net(), features)
    shuffled = binary_form((10, 10), 1, packed=True, order=tuple(random.permutation(100).tolist()))
    check_estimates(replace(random_network("conv4x3-5", 1, (10, 10), bits=1, packed=True), input=shuffled), features)


def cascade(**fields: Any) -> QuantizedNetwork:
    first = two_layers(InputFormat((1, 12, 12)), grouped(144, 1), 16, 1)
    second = random_network("conv4x3s2p1-dw3-pool2-10", 3, (1, 12, 12))
    return replace(first, then=Next(second, 50), **fields)


@of_every_kernel
def test_a_cascade_is_planned_network_by_network(features: KernelFeatures) -> None:
    net = cascade()
    compiled = compile_network(net, features)
    assert [each.stage for each in compiled.layers] == [0] * 2 + [1] * 4
    assert [each.layer for each in compiled.layers] == [0, 1, 0, 1, 2, 3]
    assert {note.stage for note in compiled.notes} == {0, 1}
    assert len(list(plans(compiled.plan))) == 2
    assert net.then
    alone = compile_network(net.then.network, features)
    assert compiled.workspace == max(alone.workspace, compile_network(replace(net, then=None), features).workspace)
    assert plan_network(net, features).then is not None
    check_estimates(net, features)


def test_refusals_name_the_network_of_a_cascade() -> None:
    net = cascade()
    assert net.then
    huge = replace(random_network("conv64x5p2-conv64x5p2-10", 1, (12, 12)), name="second")
    first = replace(net, input=huge.input, then=Next(huge, 5))
    with pytest.raises(ModelError, match=r"^network 'second': layer 1 takes the verifier past"):
        compile_network(first, OLDEST)


def test_the_tail_is_one_row_a_byte() -> None:
    net = occupied_net()
    plan = plan_network(net).layers[1]
    assert isinstance(plan, TablePlan)
    assert plan.tables.places.shape == (32, 1)
    assert plan.requantize
    assert plan.requantize.is_exact
    first = net.layers[0]
    assert isinstance(first, Table)
    double = np.full(10, 3 << 29, np.int32)
    for by in (requantization(10, zero_point=1), requantization(10, positive=double, negative=double)):
        moved = tail(first, 10, np.random.default_rng(1), by=by)
        other = plan_network(replace(net, layers=(first, moved))).layers[1]
        assert isinstance(other, TablePlan)
        assert other.requantize
        assert not other.requantize.is_exact


def test_sums_of_one_scale_become_outputs_by_a_table() -> None:
    """Where lanes of 16 bits hold them with their biases, and outputs are enough to pay for wider lanes."""
    random = np.random.default_rng(5)
    by = requantization(32, shift=33, low=0, high=255)
    hidden = table(grouped(60, 8), 32, random, largest=400, by=by)
    last = table(np.arange(32, dtype=np.int32)[:, None], 5, random, bits=8)
    plan = plan_network(network([hidden, last], binary_form(60, packed=True))).layers[0]
    assert isinstance(plan, TablePlan)
    assert plan.lookup
    assert str(plan.lanes) == "4x16"
    assert [each.lanes for each in plan.candidates] == ["4x16", "4x16"]
    several = replace(by, positive=np.arange(1, 33, dtype=np.int32) << 20)
    other = plan_network(network([replace(hidden, requantization=several), last], binary_form(60, packed=True))).layers[0]
    assert isinstance(other, TablePlan)
    assert other.lookup is None


def test_tiles_are_as_small_as_an_old_kernel_needs() -> None:
    net = two_layers(InputFormat((300,)), grouped(300, 1), 64, 1)
    assert [layer.tiles for layer in compile_network(net).layers] == [1, 1]
    old = compile_network(net, OLDEST)
    assert [layer.tiles for layer in old.layers] == [2, 1]
    assert max(len(each.contents or b"") for each in old.spec.maps.values()) <= OLDEST.largest_table
    check_estimates(net, OLDEST)


@pytest.mark.parametrize("packed", [True, False])
def test_more_groups_than_a_verifier_walks_are_refused_before_tables_are_made(
    packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables by byte would have up to 128 times as many rows as those of the file."""
    monkeypatch.setattr(tables, "own_tables", pytest.fail)
    groups = limits.MOST_WALKED * 2 + 8
    rows = np.tile(np.array([[0], [1]], np.int16), (groups, 1, 1))
    hostile = Table(rows, np.zeros(1, np.int32), np.arange(groups, dtype=np.int32)[:, None], requantization(1))
    net = network([hostile], binary_form(groups, packed=packed))
    with pytest.raises(ModelError, match=r"^network 'test': layer 0 takes the verifier past some \d+ .*; use fewer inputs"):
        compile_network(net)


def test_bytes_select_no_tables_that_are_larger_than_a_layer_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    form, layer = binary_form(40, packed=True), table(grouped(40, 2), 3, np.random.default_rng(1))
    how, found = tables.plan_first(form, layer)
    assert (how, found.numbers) == (SampleForm.PACKED, 256)
    monkeypatch.setattr(tables, "LARGEST_SIZE", 5 * 256 * 3 - 1)
    how, found = tables.plan_first(form, layer)
    assert (how, found.numbers) == (SampleForm.TABLE_LEVELS, 4)
