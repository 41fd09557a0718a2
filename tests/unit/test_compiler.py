"""The parts of the compiler that need no kernel: lanes, bounds, tables, plans, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import FAR_CODE, FAR_WEIGHTS, dense, far_code, far_weights, input_format, network, random_network

from ebpfnn.compiler import (
    KernelFeatures,
    bounds,
    compile_network,
    evenly,
    frames,
    levels,
    limits,
    lookup,
    nonzero,
    requantize,
    rows,
    sidebyside,
)
from ebpfnn.compiler.accumulate import Products
from ebpfnn.compiler.bounds import lowest_sums, reach, segments
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.compiler.lanes import FOUR, THREE, TWO, Lanes
from ebpfnn.compiler.live import live_inputs, pieces
from ebpfnn.compiler.partial import RowShape, level_weights, partial_sums
from ebpfnn.compiler.plan import ConvPlan
from ebpfnn.compiler.tile import Tiling
from ebpfnn.errors import ModelError
from ebpfnn.network import reference
from ebpfnn.network.encoding import decode, encode
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Dense, Requantization
from ebpfnn.obj import insn

LANES = st.sampled_from([FOUR, THREE, TWO])
SEEDS = st.integers(0, 1 << 32)
of_every_kernel = pytest.mark.parametrize("features", [NEWEST, MIDDLE, OLDEST], ids=["iterators", "callbacks", "walked"])


def unpack(lanes: Lanes, words: np.ndarray, outputs: int) -> np.ndarray:
    """The lanes of uint64 [words] as they are read off, int64 [outputs]."""
    shifts = np.arange(lanes.count, dtype=np.uint64) * np.uint64(lanes.bits)
    return (words[:, None] >> shifts & np.uint64(lanes.mask)).reshape(-1)[:outputs].astype(np.int64)


@given(LANES, SEEDS, st.integers(1, 40), st.integers(1, 20), st.sampled_from([(0, 255), (-127, 127), (-4, 3), (17, 200)]))
def test_lanes_hold_their_sums(lanes: Lanes, seed: int, inputs: int, outputs: int, ends: tuple[int, int]) -> None:
    random = np.random.default_rng(seed)
    low, high = ends
    weights = random.integers(-127, 128, (inputs, outputs)).astype(np.int8)
    values = random.choice([low, high], inputs)
    try:
        cuts = segments(reach(weights, low, high), lanes.bits)
    except ModelError:
        assert lanes is FOUR  # one weight of 127 and s8 inputs are past 16 bits, for unsigned lanes of them
        return
    start, total = 0, np.zeros(outputs, np.int64)
    for end in cuts:
        seeds = -lowest_sums(weights[start:end], low, high)
        words = lanes.pack(seeds) + (lanes.pack(weights[start:end]) * values[start:end, None].astype(np.uint64)).sum(axis=0)
        total += unpack(lanes, words, outputs) - seeds
        start = end
    assert total.tolist() == (values @ weights.astype(np.int64)).tolist()


def test_segments_end_where_a_lane_is_full() -> None:
    ranges = reach(np.full((1000, 1), 127, np.int8), 0, 255)
    assert segments(ranges, 21) == (*range(64, 1000, 64), 1000)
    assert segments(ranges, 21, 48) == (*range(48, 1000, 48), 1000)
    assert segments(ranges, 32) == (1000,)
    assert segments(np.array([[(1 << 21) - 1]]), 21) == (1,)
    with pytest.raises(ModelError, match="1 inputs from number 0 on can pass 21 bits"):
        segments(np.array([[1 << 21]]), 21)
    with pytest.raises(ModelError, match="8 inputs from number 0 on can pass 16 bits"):
        segments(ranges, 16, 8)


@given(
    SEEDS,
    st.integers(1, 20),
    st.integers(1, 9),
    st.sampled_from([(1, 256), (2, 256), (3, 64), (4, 256), (8, 16)]),
    st.integers(-9, 9),
)
def test_rows_of_partial_sums(seed: int, inputs: int, outputs: int, by: tuple[int, int], low: int) -> None:
    random, shape = np.random.default_rng(seed), RowShape(*by)
    weights = random.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    tiling = Tiling.of(outputs, 4, 2)
    ordered = level_weights(weights, shape.bits)
    products = Products(ordered, low, low + 1, FOUR, (len(ordered),), tiling.words, tiling.tiles, 16)
    table = partial_sums(products, shape)
    assert table.shape == (tiling.tiles, len(ordered) // shape.levels, shape.rows, 2)
    number, group = int(random.integers(shape.rows)), int(random.integers(table.shape[1]))
    levels = [number >> shape.bits * place & (1 << shape.bits) - 1 for place in range(shape.levels)]
    mine = ordered[shape.levels * group :][: shape.levels].astype(np.int64)
    expected = FOUR.pack((np.array(levels) + low) @ mine)
    assert table[:, group, number, : tiling.words].reshape(-1)[: len(expected)].tolist() == expected.tolist()


@given(st.sets(st.integers(1, 255), min_size=3, max_size=3), st.integers(1, 60), st.integers(1, 6))
def test_a_line_through_evenly_spread_thresholds(some: set[int], first: int, apart: int) -> None:
    """Where there is a line, it gives the level of every byte; to evenly spread thresholds there always is one."""
    even = [tuple(range(first, first + apart * count, apart)) for count in (1, 15)]
    spread = [tuple(round(256 * (level + 0.5) / (highest + 1)) for level in range(highest)) for highest in (1, 3, 15)]
    for thresholds in (tuple(sorted(some)), *even, *spread):
        line = evenly.find_line(InputFormat((1,), len(thresholds).bit_length(), thresholds))
        assert line or thresholds not in spread
        if line:
            levels = np.searchsorted(thresholds, np.arange(256), side="right")
            values = np.arange(256) * line.slope + line.start
            assert np.minimum(values >> 8, len(thresholds)).tolist() == levels.tolist()
            assert ((values >> 8) - line.clipped).max() <= len(thresholds)
            assert values.max() < 1 << 16


@given(st.integers(0, 255))
def test_rows_of_nonzero_indices(number: int) -> None:
    row = nonzero.rows()[number]
    ones = [bit for bit in range(8) if number >> bit & 1]
    assert row[: len(ones)].tolist() == ones
    assert row[8] == 2 * len(ones)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_rows_of_levels(depth: int, order: str, packed: bool) -> None:
    form = input_format((256,), depth, packed=packed, bit_order=order)
    sample = np.arange(256, dtype=np.uint8)
    encoded = encode(form, sample)
    assert levels.level_rows(form)[encoded].reshape(-1).tolist() == decode(form, encoded).tolist()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["big", "little"])
def test_weights_in_the_order_of_bits(order: str, packed: bool) -> None:
    form = input_format((11,), 1, packed=packed, bit_order=order)
    layer = dense(np.arange(1, 12)[None], [0])
    ordered = sidebyside.sample_weights(form, layer)[0].weights
    straight = [*range(1, 9), 9, 10, 11, 0, 0, 0, 0, 0]
    turned = [*range(8, 0, -1), 0, 0, 0, 0, 0, 11, 10, 9]
    assert ordered[:, 0].tolist() == (turned if packed and order == "big" else straight)


def test_clips_that_cannot_act_are_left_out() -> None:
    layer = dense([[1, -1]], [0], low=-128, high=127)
    assert requantize.plan_requantize(layer, 0, 127) == requantize.RequantizePlan(
        layer.requantization, clips_low=False, clips_high=False
    )
    assert requantize.plan_requantize(layer, 0, 128).clips_high
    assert requantize.plan_requantize(layer, 0, 129).clips_low


def one_scale(outputs: int, seed: int, **fields: int) -> Requantization:
    """Multipliers that all outputs share, and a slope."""
    random = np.random.default_rng(seed)
    positive = np.full(outputs, random.integers(1 << 29, 1 << 31), np.int32)
    negative = (positive * random.choice([0, 0.125, 1])).astype(np.int32)
    return Requantization(positive, negative, int(random.integers(30, 40)), **{"low": -127, "high": 127, **fields})


def products_of(layer: Dense, low: int, high: int) -> Products:
    weights = np.ascontiguousarray(layer.weights.T)
    tiling = Tiling.of(layer.outputs, FOUR.count)
    return Products(weights, low, high, FOUR, segments(reach(weights, low, high), 16), tiling.words, tiling.tiles, 64)


@given(SEEDS, st.sampled_from([(-127, 127, 0), (0, 255, 3), (-4, 3, -2), (17, 200, 0)]), st.sampled_from([(0, 1), (-3, 4)]))
def test_a_table_from_a_lane_to_an_output(seed: int, clip: tuple[int, int, int], given: tuple[int, int]) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(-127, 128, (9, 30)).astype(np.int8)
    bias = random.integers(-1000, 1000, 9).astype(np.int32)
    layer = Dense(weights, bias, one_scale(9, seed, low=clip[0], high=clip[1], zero_point=clip[2]))
    found = lookup.find_lookup(layer, products_of(layer, *given))
    assert found
    values = random.choice(given, (20, 30)).astype(np.int64)
    lanes = values @ weights.T.astype(np.int64) + found.seeds
    assert lanes.min() >= 0
    assert lanes.max() < 1 << 16
    assert found.outputs[lanes].tolist() == reference.forward(layer, values).tolist()


def test_where_a_lane_cannot_stand_for_an_output() -> None:
    layer = Dense(np.ones((9, 30), np.int8), np.zeros(9, np.int32), one_scale(9, 1))
    products = products_of(layer, 0, 1)
    assert lookup.find_lookup(layer, products)
    by = layer.requantization
    other = replace(by, positive=by.positive + (np.arange(9) == 3).astype(np.int32))
    assert lookup.find_lookup(replace(layer, requantization=other), products) is None
    biases = np.where(np.arange(9) == 0, 65506, 0).astype(np.int32)
    assert lookup.find_lookup(replace(layer, bias=biases), products) is None
    assert lookup.find_lookup(replace(layer, bias=biases - (biases > 0)), products)
    assert lookup.find_lookup(layer, replace(products, lanes=THREE)) is None
    assert lookup.find_lookup(layer, replace(products, ends=(8, 30))) is None


def test_eights_of_inputs_that_no_weight_reads() -> None:
    weights = np.zeros((32, 3), np.int8)
    weights[8, 1], weights[31, 0] = 5, -1
    assert rows.live_groups(weights, 8) == (1, 3)
    assert rows.live_groups(weights, 4) == (2, 7)


@given(st.integers(1, 300), st.integers(1, 4), st.integers(1, 8))
def test_tiles_hold_every_output_once(outputs: int, lanes: int, most: int) -> None:
    tiling = Tiling.of(outputs, lanes, most)
    sizes = [tiling.size(tile) for tile in range(tiling.tiles)]
    assert sum(sizes) == outputs
    assert min(sizes) > 0
    assert tiling.words <= most


def test_the_same_network_gives_the_same_object() -> None:
    first, second = (compile_network(random_network("conv4x3s2p1-pool2-5", 1)) for _ in range(2))
    assert first.spec.functions == second.spec.functions
    assert first.spec.maps == second.spec.maps


def test_every_table_is_frozen_and_read_only() -> None:
    maps = compile_network(random_network((20, 10, 5), 1)).spec.maps
    assert maps
    assert all(found.frozen and found.flags & 1 << 7 for found in maps.values())


@pytest.mark.parametrize(("plan", "shape"), [("straight", "straight"), ("listed", "listed"), ("rows", "rows")])
def test_a_plan_can_be_named(plan: str, shape: str) -> None:
    net = random_network((64, 16, 4), 1, bits=1)
    compiled = compile_network(net, plan=plan)
    assert compiled.layers[0].shape == shape
    assert sum(layer.instructions for layer in compiled.layers) < len(compiled.spec.functions["ebpfnn_infer"].code) // insn.SIZE
    assert sum(layer.table_bytes for layer in compiled.layers) == sum(
        len(found.contents or b"") for found in compiled.spec.maps.values()
    )


@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (-3, 3), (0, 7), (-7, 7), (0, 15)], ids=str)
def test_few_bits_between_layers_become_rows(ends: tuple[int, int]) -> None:
    """But not behind a layer whose outputs come from no table."""
    by = replace(one_scale(48, 1), low=ends[0], high=ends[1])
    hidden = Dense(np.ones((48, 64), np.int8), np.arange(48, dtype=np.int32), by)
    net = network([hidden, dense(np.ones((10, 48)), np.arange(10))], InputFormat((64,), 1, (100,)))
    assert [layer.shape for layer in compile_network(net).layers] == ["rows", "rows"]
    several = replace(by, positive=np.arange(1, 49, dtype=np.int32))
    other = replace(net, layers=(replace(hidden, requantization=several), net.layers[1]))
    assert [layer.shape for layer in compile_network(other).layers] == ["rows", "straight"]


def test_notes_go_with_the_instructions() -> None:
    compiled = compile_network(random_network("conv4x3-pool2-5", 1))
    indices = [note.index for note in compiled.notes]
    assert indices == sorted(indices)
    assert {note.layer for note in compiled.notes} == {-1, 0, 1, 2}
    spec = compiled.spec
    lines = spec.functions["ebpfnn_infer"].lines
    assert lines[0].index == 0
    assert spec.btf is not None
    assert spec.btf.string(lines[-1].text) == compiled.notes[-1].text


def test_old_kernels_get_old_instructions() -> None:
    net = random_network((300, 200, 5), 3)
    new, old = compile_network(net), compile_network(net, OLDEST)
    assert new.spec.kernel_symbols
    assert not old.spec.kernel_symbols
    signed_loads = {0x81, 0x89, 0x91}
    assert not signed_loads & {each.opcode for each in insn.decode_all(old.spec.functions["ebpfnn_infer"].code)}


def test_what_is_refused_names_the_layer_and_the_limit() -> None:
    with pytest.raises(ModelError, match="plan 'fast' is not known; known are straight, listed, rows"):
        compile_network(random_network((4, 2), 1), plan="fast")
    wide = network([dense(np.ones((2000, 784)), np.zeros(2000), low=0, high=255), dense(np.ones((2, 2000)), np.zeros(2))])
    for features in (NEWEST, MIDDLE):
        compile_network(wide, features)
    with pytest.raises(ModelError, match=r"network 'test': layer 0 takes the verifier past some [0-9]+ instructions; it walks"):
        compile_network(wide, OLDEST)
    with pytest.raises(ModelError, match=r"layer 0 needs a table of [0-9]+ bytes; the kernel takes 4194304"):
        compile_network(network([dense(np.ones((64, 60000)), np.zeros(64))]), KernelFeatures(large_values=False))


def test_a_stack_that_is_too_small_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_network((300, 100, 5), 1)
    deep, flat = compile_network(net, MIDDLE), compile_network(net, OLDEST)
    monkeypatch.setattr(limits, "STACK", deep.stack - 1)
    assert compile_network(net, MIDDLE).spec.functions == compile_network(net, replace(MIDDLE, callbacks=False)).spec.functions
    monkeypatch.setattr(limits, "STACK", flat.stack - 1)
    with pytest.raises(
        ModelError, match=rf"^network 'test': layer 0 needs [0-9]+ bytes of stack; there are {flat.stack - 1}; use"
    ):
        compile_network(net, OLDEST)


def test_sums_that_no_lane_holds_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unproven(ranges: np.ndarray, bits: int, step: int = 1) -> tuple[int, ...]:
        raise ModelError(f"{step} inputs can pass {bits} bits")

    monkeypatch.setattr(bounds, "segments", unproven)
    for net in (random_network((20, 5), 1), random_network("conv4x3-5", 1)):
        with pytest.raises(
            ModelError, match=r"^network 'test': layer 0 has weights and inputs that no lane of 32 bits holds; use"
        ):
            compile_network(net)


@of_every_kernel
@pytest.mark.parametrize("case", FAR_WEIGHTS)
def test_weights_that_are_further_than_an_offset_reaches(case: str, features: KernelFeatures) -> None:
    net = far_weights(case)
    found = compile_network(net, features).plan.layers[0]
    assert isinstance(found, ConvPlan)
    (products,) = found.groups
    assert len(products.weights) * products.row > 1 << 15
    assert found.skips_rows == (case == "blank rows")
    assert len({tile.outputs for tile in found.tiles}) == (2 if "tile" in case else 1)


@of_every_kernel
@pytest.mark.parametrize("case", FAR_CODE)
def test_code_that_no_jump_goes_over_is_planned_shorter(case: str, features: KernelFeatures) -> None:
    compile_network(far_code(case), features)


def test_a_network_too_large_for_a_kernel_names_what_another_one_needs_that_takes_it() -> None:
    large = random_network("conv20x3p1-conv20x1-5", 1, (3, 40, 40))
    told = r"^network 'test': layer [01] takes the verifier past some [0-9]+ instructions; it walks 900000; use a smaller layer"
    with pytest.raises(ModelError, match=told + r", or a kernel that has bpf_loop \(Linux 5\.17\)$"):
        compile_network(large, OLDEST)
    for features in (NEWEST, MIDDLE):
        compile_network(large, features)


def test_no_other_kernel_is_named_if_none_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_WALKED", 10)
    with pytest.raises(ModelError, match=r"; it walks 10; use a smaller layer$"):
        compile_network(random_network("conv4x3-5", 1), OLDEST)


def test_a_jump_that_is_too_far_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is one in a callback."""
    monkeypatch.setattr(frames, "FARTHEST_JUMP", 100)
    for features in (NEWEST, MIDDLE):
        with pytest.raises(
            ModelError, match=r"^network 'test': layer 0 needs a jump over [0-9]+ instructions; at most 100 go; use"
        ):
            compile_network(random_network((300, 200, 5), 3), features)


def test_lists_that_branch_too_often_become_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_network((784, 256, 128, 10), 1)
    sparse = replace(net, density=(0.1, 0.1, 0.9))
    assert [found.shape for found in compile_network(sparse).layers] == ["listed", "listed", "straight"]
    old = compile_network(sparse, OLDEST)
    assert [found.shape for found in old.layers] == ["straight", "listed", "straight"]
    assert [found.shape for found in compile_network(sparse, OLDEST, "listed").layers] == ["straight", "listed", "listed"]
    monkeypatch.setattr(limits, "MOST_FORKS", 10)
    clipped = network([dense(np.full((20, 30), 127), np.zeros(20), low=0, high=255), dense(np.ones((2, 20)), np.zeros(2))])
    with pytest.raises(
        ModelError, match=r"^network 'test': layer 0 makes the verifier put off [0-9]+ branches; it keeps 10; use"
    ):
        compile_network(clipped, plan="straight")


def test_tables_that_are_too_many_are_joined_and_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = [dense(np.ones((2, 2)), np.zeros(2), low=0, high=255) for _ in range(20)]
    net = network([*hidden, dense(np.ones((2, 2)), np.zeros(2))])
    apart, together = (compile_network(each).spec.maps for each in (replace(net, layers=net.layers[3:]), net))
    assert len(apart) == 54
    assert len(together) == 1
    monkeypatch.setattr(limits, "MOST_TABLES", 0)
    with pytest.raises(
        ModelError,
        match=r"layer 0 needs [0-9]+ bytes of tables so far; a program takes 0 tables of 67108864; use smaller layers",
    ):
        compile_network(net)


def test_more_memory_than_a_result_may_have_is_told() -> None:
    net = random_network("conv16x1-pool30-4", 1, (1, 600, 600))
    compile_network(net)
    with pytest.raises(ModelError, match=r"layer 0 needs [0-9]+ bytes behind a result; the kernel takes 4194304; use"):
        compile_network(net, replace(NEWEST, large_values=False))


def test_callbacks_take_over_what_iterators_do() -> None:
    """One more function a loop, which is not visible to others and ends where its number does."""
    compiled = compile_network(random_network((300, 200, 5), 3), MIDDLE)
    functions = compiled.spec.functions
    assert list(functions) == ["ebpfnn_infer", "ebpfnn_infer_turn0"]
    assert not compiled.spec.kernel_symbols
    assert [function.exported for function in functions.values()] == [True, False]
    assert {note.function for note in compiled.notes} == set(functions)
    assert functions["ebpfnn_infer_turn0"].lines[0].index == 0
    grouped = compile_network(random_network("conv32x3g8-5", 1, (8, 20, 20)), MIDDLE)
    assert len(grouped.spec.functions) > 2
    assert grouped.stack <= 448


@given(SEEDS, st.integers(1, 90), st.floats(0, 1))
def test_live_inputs_are_copied_side_by_side_and_no_other(seed: int, inputs: int, share: float) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(-127, 128, (inputs, 3)) * (random.random((inputs, 1)) < share)
    live = live_inputs(weights.astype(np.int8))
    assert live.tolist() == (np.flatnonzero(weights.any(axis=1)).tolist() or [0])
    copied = np.full(live.size, -1)
    for piece in pieces(live):
        assert piece.size in (1, 2, 4, 8)
        copied[piece.target : piece.target + piece.size] = range(piece.source, piece.source + piece.size)
    assert copied.tolist() == live.tolist()


def test_inputs_that_weigh_nothing_cost_nothing() -> None:
    weights = np.ones((20, 300))
    last = dense(np.ones((4, 20)), np.zeros(4))
    full = network([dense(weights, np.zeros(20), low=0, high=255), last])
    weights[:, 100:] = 0
    idle = network([dense(weights, np.zeros(20), low=0, high=255), last])
    for plan in ("straight", "listed"):
        before, after = (compile_network(net, plan=plan) for net in (full, idle))
        rows = [len(compiled.spec.maps["layer0_weights"].contents or b"") for compiled in (before, after)]
        assert rows[1] * 3 == rows[0]
        assert after.layers[0].segments[-1] == 100
        assert after.workspace < before.workspace + 128
