"""Compiled networks in the kernel compute what the reference computes, by every plan, for new kernels and old ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agreement import agree
from architectures import SHAPE, architectures
from ebpfnn_plugins.run import RunTrigger
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import (
    FAR_CODE,
    FAR_WEIGHTS,
    THRESHOLDS,
    conv2d,
    dense,
    far_code,
    far_weights,
    input_format,
    network,
    random_network,
    samples,
)

from ebpfnn.compiler import KernelFeatures, compile_network
from ebpfnn.compiler.choose_conv import MOST_PRODUCTS, choose_conv
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Dense, Window
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here

pytestmark = pytest.mark.root
WIDTHS = [(1, 1), (8, 1, 2), (33, 17, 9, 5), (101, 40, 7), (5, 64, 64), (64, 130, 70, 10)]
ARCHITECTURES = [
    "conv4x3s2p1-dw3-pool2-5",
    "conv8x5s2p2-conv16x3-pool2-32-10",
    "conv6x3p1g1-conv6x3g2-gap",
    "conv20x3-5",
    "pool3s2p1-dw3p1-7",
    "conv3x2x3s2-pool2x3-conv40x2p1-4",
    "conv16x3-conv12x3g4-dw3s2p1-9",
]
PLANS = ["straight", "listed", "rows"]
FEATURES = {"iterators": NEWEST, "callbacks": MIDDLE, "walked": OLDEST}
of_every_kernel = pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)


def equal(tested: QuantizedNetwork, features: KernelFeatures = NEWEST, plan: str | None = None, seed: int = 0) -> None:
    """Of the newest features, those that this kernel has."""
    body = compile_here(tested, plan) if features == NEWEST else compile_network(tested, features, plan)
    with Session(tested, RunTrigger(), body=body) as session:
        agree(session, samples(tested.input_shape, seed))


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_dense_layers(widths: tuple[int, ...], plan: str) -> None:
    for seed in range(2):
        equal(random_network(widths, seed), plan=plan, seed=seed)


@pytest.mark.parametrize("shape", [(1, 14, 14), (3, 13, 12)], ids=str)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_images(architecture: str, shape: tuple[int, ...]) -> None:
    for seed in range(2):
        equal(random_network(architecture, seed, shape), seed=seed)


@of_every_kernel
@pytest.mark.parametrize(
    "architecture", ["conv7x4s2p1-dw3p1-conv40x1-dw3s2p1-conv20x1-gap", "conv20x5x4s2p3-dw3p2-conv40x1-dw2-4"]
)
def test_tight_code(architecture: str, features: KernelFeatures) -> None:
    """Columns side by side, with and without some that are left; tiles and groups in loops; channels in turns, and in all."""
    for seed, shape in enumerate([(1, 11, 17), (3, 12, 10)]):
        net = random_network(architecture, seed, shape)
        with Session(net, RunTrigger(), body=compile_network(net, features, tight=True)) as session:
            agree(session, samples(net.input_shape, seed))


def test_tables_that_are_joined_are_read_as_if_they_were_not() -> None:
    equal(random_network((30, *[5] * 20, 3), 1))


@pytest.mark.parametrize(("packed", "order"), [(False, "big"), (True, "big"), (True, "little")])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_inputs_of_few_bits(depth: int, packed: bool, order: str) -> None:
    for architecture, shape in (("101-40-5", (101,)), ("9-70-3", (9,)), ("conv4x3s2p1-pool2-5", (1, 12, 12))):
        tested = random_network(architecture, depth, shape, bits=depth, packed=packed, bit_order=order)
        for plan in PLANS:
            equal(tested, plan=plan, seed=depth)


@pytest.mark.slow
@pytest.mark.parametrize("features", [NEWEST, OLDEST], ids=["new", "old"])
@pytest.mark.parametrize(("packed", "order"), [(False, "big"), (True, "big"), (True, "little")])
@pytest.mark.parametrize(
    "thresholds", [(128,), (200,), (32, 96, 160), (50, 60, 70), tuple(range(8, 240, 16)), tuple(range(1, 16))]
)
def test_levels_evenly_spread(thresholds: tuple[int, ...], packed: bool, order: str, features: KernelFeatures) -> None:
    """By a line, or side by side; of every size of the last word, with and without blank bytes, in one tile and in several."""
    form = {"bits": len(thresholds).bit_length(), "thresholds": thresholds, "packed": packed, "bit_order": order}
    for size, outputs in ((61, 33), (8, 3), (129, 70)):
        for density in (0.05, 0.9):
            net = with_idle_inputs(random_network((size, outputs, 5), size), 0.3)
            net = replace(net, input=replace(net.input, **form), density=(density, density))
            for plan in ("straight", "rows"):
                equal(net, features, plan, seed=outputs)


@pytest.mark.slow
@pytest.mark.parametrize("features", [NEWEST, OLDEST], ids=["new", "old"])
@pytest.mark.parametrize("plan", ["straight", "rows", None])
@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (0, 3), (-2, 5), (0, 7), (-7, 7), (0, 15), (-128, -113)], ids=str)
def test_few_bits_between_layers(ends: tuple[int, int], plan: str | None, features: KernelFeatures) -> None:
    low, high = ends
    for seed, (inputs, outputs) in enumerate([(40, 9), (64, 64), (57, 130)]):
        net = one_scale(1, seed, inputs, outputs, 100, packed=True)
        hidden, middle = net.layers[0], one_scale(1, seed + 1, outputs, 21, 100).layers[0]
        hidden, middle = (
            replace(each, requantization=replace(each.requantization, low=low, high=high, shift=39))
            for each in (hidden, middle)
        )
        last = dense(np.random.default_rng(seed).integers(-127, 128, (7, 21)), np.arange(7))
        equal(replace(net, layers=(hidden, middle, last)), features, plan, seed)


def one_scale(depth: int, seed: int, size: int, outputs: int, threshold: int, **form: Any) -> QuantizedNetwork:
    """Weights of one scale, so that outputs come from a table; some inputs, and whole eights of them, have no weight."""
    random = np.random.default_rng(seed)
    weights = random.integers(-40, 41, (outputs, size))
    weights[:, random.random(size) < 0.3] = 0
    weights[:, : size // 3] = 0
    weights[0, -3:] = random.choice([-127, 127])
    positive = np.full(outputs, random.integers(1 << 29, 1 << 31), np.int32)
    negative = (positive * random.choice([0, 0.125, 1])).astype(np.int32)
    low, high = ((-127, 127), (0, 255), (-4, 3))[seed % 3]
    by = {"positive": positive, "negative": negative, "shift": 33, "low": low, "high": high, "zero_point": int(seed % 2)}
    hidden = dense(weights, random.integers(-3000, 3000, outputs), **by)
    last = dense(random.integers(-127, 128, (7, outputs)), random.integers(-99, 99, 7))
    thresholds = (threshold,) if depth == 1 else THRESHOLDS[depth]
    return network([hidden, last], InputFormat((size,), depth, thresholds, **form))


@of_every_kernel
@pytest.mark.parametrize("form", [{}, {"packed": True}, {"packed": True, "bit_order": "little"}], ids=str)
@pytest.mark.parametrize("outputs", [3, 31, 64, 130])
def test_weights_of_one_scale(outputs: int, form: dict[str, Any], features: KernelFeatures) -> None:
    for seed, (size, threshold) in enumerate([(101, 100), (96, 2), (9, 254), (203, 101), (77, 255), (64, 1)]):
        equal(one_scale(1, seed, size, outputs, threshold, **form), features, "rows", seed)
    equal(one_scale(4, outputs, 50, outputs, 0, **form), features, "straight", outputs)


def test_layers_that_read_no_input() -> None:
    hidden = dense(np.zeros((32, 40)), np.arange(32), low=0, high=255)
    equal(network([hidden, dense(np.ones((3, 32)), np.arange(3))], InputFormat((40,), 1, (100,))), plan="rows")


@of_every_kernel
@pytest.mark.parametrize("architecture", ["33-17-9-5", "300-100-90-5", *ARCHITECTURES])
def test_what_kernels_have(architecture: str, features: KernelFeatures) -> None:
    shape = (1, 14, 14) if architecture[0].isalpha() else (int(architecture.split("-")[0]),)
    for seed in range(2):
        equal(random_network(architecture, seed, shape), features, seed=seed)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(architectures(), st.integers(0, 1 << 32), st.sampled_from([8, 4, 2, 1]), st.sampled_from([None, *PLANS]), st.data())
def test_any_architecture_on_any_kernel(architecture: str, seed: int, bits: int, plan: str | None, data: st.DataObject) -> None:
    """Convolutions, depthwise and in groups, strides, padding, pools and averages; inputs of few bits; sparse and not."""
    packed, order = (
        data.draw(st.sampled_from([(False, "big"), (True, "big"), (True, "little")])) if bits < 8 else (False, "big")
    )
    net = random_network(architecture, seed, SHAPE, bits=bits, packed=packed, bit_order=order)
    density = data.draw(st.sampled_from([(), (0.1,) * len(net.layers), (0.9,) * len(net.layers)]))
    equal(replace(net, density=density), data.draw(st.sampled_from([*FEATURES.values()])), plan, seed)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 150), min_size=2, max_size=4), st.integers(0, 1 << 32), st.sampled_from([8, 4, 2, 1]), st.data())
def test_any_widths_on_any_kernel(widths: list[int], seed: int, bits: int, data: st.DataObject) -> None:
    packed = data.draw(st.booleans()) if bits < 8 else False
    net = random_network((*widths, 3 + seed % 7), seed, bits=bits, packed=packed)
    plan, features = data.draw(st.sampled_from([None, *PLANS])), data.draw(st.sampled_from([*FEATURES.values()]))
    equal(with_idle_inputs(net, data.draw(st.sampled_from([0, 0.5]))), features, plan, seed)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("plan", PLANS[:2])
def test_the_largest_weights(sign: int, plan: str) -> None:
    """Every sum at its bound: thirteen segments of 21 bits."""
    hidden = dense(np.full((32, 784), 127 * sign), np.zeros(32), positive=np.full(32, 1 << 10, np.int32), low=-127, high=127)
    equal(network([hidden, dense(np.full((10, 32), -127 * sign), np.arange(10))]), plan=plan)


def test_tiles_in_a_loop_write_no_further_than_they_may() -> None:
    for outputs in (55, 72, 73, 127):
        equal(random_network((40, outputs, 64), outputs), seed=outputs)


def test_blank_windows_are_skipped_exactly() -> None:
    net = random_network("conv5x5s2p2-pool2-10", 4, (28, 28))
    sparse = QuantizedNetwork(net.name, net.input, net.labels, net.layers, density=(0.1,) * len(net.layers))
    blank = np.zeros((3, 28, 28), np.uint8)
    blank[1, 13:15, 13:15], blank[2, 27, 27] = 200, 1
    with Session(sparse, RunTrigger(), body=compile_here(sparse)) as session:
        agree(session, np.concatenate([blank, samples((28, 28), 1)]))


def test_blank_windows_of_many_channels() -> None:
    """Their outputs are known by channel, and the channels are in several tiles."""
    random, by = np.random.default_rng(3), {"shift": 38, "low": -99, "high": 99}
    window = conv2d(random.integers(-9, 10, (40, 1, 5, 5)), np.arange(40) << 9, Window((5, 5), (2, 2)), **by)
    tail = dense(random.integers(-127, 128, (5, 40 * 12 * 12)), np.arange(5))
    sparse = replace(network([window, tail], InputFormat((1, 28, 28))), density=(0.1, 1.0))
    blank = np.zeros((2, 1, 28, 28), np.uint8)
    blank[1, :, 13:15, 13:15] = 200
    with Session(sparse, RunTrigger(), body=compile_here(sparse)) as session:
        agree(session, blank)


@of_every_kernel
def test_slopes_of_each_output(features: KernelFeatures) -> None:
    """Some outputs pass negative sums on as they are, some less of them and some none, as a PReLU's do."""
    random = np.random.default_rng(5)
    positive = random.integers(1 << 29, 1 << 31, 24).astype(np.int32)
    by = {"positive": positive, "low": -127, "high": 127, "shift": 42}
    for shares in ((0, 1), (1, 0.25), (0, 0.25, 1)):
        negative = (positive * np.resize(shares, 24)).astype(np.int32)
        hidden = dense(random.integers(-127, 128, (24, 40)), random.integers(-999, 999, 24), negative=negative, **by)
        last = dense(random.integers(-127, 128, (5, 24)), np.arange(5))
        for plan in PLANS:
            equal(network([hidden, last]), features, plan)
        window = conv2d(random.integers(-127, 128, (24, 1, 3, 3)), np.arange(24), Window((3, 3)), negative=negative, **by)
        tail = dense(random.integers(-127, 128, (5, 24 * 16)), np.arange(5))
        equal(network([window, tail], InputFormat((1, 6, 6))), features)


@of_every_kernel
def test_a_lane_that_is_full_within_a_channel(features: KernelFeatures) -> None:
    """More products of one channel than a lane holds, in segments of more than are written out where they end with one."""
    random = np.random.default_rng(6)
    window = conv2d(random.choice([-60, 60], (18, 1, 13, 13)), np.arange(18), Window((13, 13)), shift=40, low=-127, high=127)
    (products,), _ = choose_conv(window, 0, 255, None)
    assert products.ends[0] % 169
    assert products.ends[0] * products.words > MOST_PRODUCTS
    tail = dense(random.integers(-127, 128, (5, 18 * 4)), np.arange(5))
    equal(network([window, tail], InputFormat((1, 14, 14))), features)


@of_every_kernel
@pytest.mark.parametrize("case", FAR_WEIGHTS)
def test_weights_that_are_further_than_an_offset_reaches(case: str, features: KernelFeatures) -> None:
    equal(far_weights(case), features)


@of_every_kernel
@pytest.mark.parametrize("case", FAR_CODE)
def test_code_that_no_jump_goes_over(case: str, features: KernelFeatures) -> None:
    equal(far_code(case), features)


def test_images_whose_channels_are_far_apart() -> None:
    net = random_network("conv9x3-conv5x3s5-10", 2, (66, 66))
    equal(QuantizedNetwork(net.name, net.input, net.labels, net.layers, density=(0.1, 0.3, 0.5)))


@of_every_kernel
def test_a_network_that_is_too_large_for_the_naive_baseline(features: KernelFeatures) -> None:
    net = random_network((784, 512, 256, 10), 1)
    equal(replace(net, density=(0.2, 0.3, 0.5)), features, seed=1)


@of_every_kernel
def test_lists_that_many_tiles_go_over(features: KernelFeatures) -> None:
    """Rows of all tiles side by side, and, where they would be too long for that, behind one another."""
    wide = random_network((300, 90, 5), 2)
    for net in (wide, with_idle_inputs(wide, 0.4), random_network((40, 1700, 3), 3), random_network((20, 300, 90, 4), 4)):
        equal(net, features, "listed", seed=3)


def with_idle_inputs(net: QuantizedNetwork, share: float) -> QuantizedNetwork:
    """Without the weights of a share of every dense layer's inputs: half of them alone, the others in runs of nine."""

    def idle(layer: Dense, random: np.random.Generator) -> Dense:
        runs = np.repeat(random.random(layer.inputs // 9 + 1), 9)[: layer.inputs]
        alone = random.random(layer.inputs)
        return replace(layer, weights=np.where(np.minimum(runs, alone) < share / 2, 0, layer.weights).astype(np.int8))

    random = np.random.default_rng(7)
    layers = tuple(idle(layer, random) if isinstance(layer, Dense) else layer for layer in net.layers)
    return replace(net, layers=layers)


@of_every_kernel
@pytest.mark.parametrize("plan", [*PLANS, None])
@pytest.mark.parametrize("widths", ["101-40-7", "9-5-3", "784-70-33-10", "600-90-5", "conv4x3-40-9"])
def test_inputs_that_weigh_nothing(widths: str, plan: str | None, features: KernelFeatures) -> None:
    shape = (1, 12, 12) if widths.startswith("conv") else (int(widths.split("-")[0]),)
    for seed, share in enumerate((0.02, 0.4, 0.9)):
        equal(with_idle_inputs(random_network(widths, seed, shape), share), features, plan, seed)


def test_layers_without_a_weight() -> None:
    hidden = dense(np.zeros((32, 300)), np.arange(32), low=0, high=255)
    for plan in PLANS[:2]:
        equal(network([hidden, dense(np.ones((3, 32)), np.arange(3))]), plan=plan)


def test_lists_that_are_nearly_full() -> None:
    """To either side of where the list is no longer used, also where lanes are flushed in between."""
    for net in (random_network((400, 40, 5), 3), with_idle_inputs(random_network((500, 30, 5), 4), 0.3)):
        size = net.input.size
        random = np.random.default_rng(1)
        pixels = random.integers(1, 256, (64, size)) * (random.random((64, size)) < np.linspace(0.7, 0.8, 64)[:, None])
        with Session(net, RunTrigger(), body=compile_here(net, "listed")) as session:
            agree(session, pixels.astype(np.uint8))


LAST_CONVOLUTIONS = {
    "as tall as the image": ((1, 4, 4), (4, 4), (1, 1)),
    "strided": ((1, 6, 6), (3, 3), (3, 3)),
    "of one row": ((1, 1, 9), (1, 8), (1, 1)),
    "of one place": ((1, 3, 3), (1, 1), (1, 1)),
}


@of_every_kernel
@pytest.mark.parametrize("form", [{}, {"bits": 1}, {"bits": 1, "packed": True}, {"bits": 4, "packed": True}], ids=str)
@pytest.mark.parametrize("case", LAST_CONVOLUTIONS)
def test_a_last_convolution_writes_whole_scores_for_blank_windows(
    case: str, form: dict[str, Any], features: KernelFeatures
) -> None:
    """Scores of four bytes, none of them left from the sample before."""
    shape, kernel, stride = LAST_CONVOLUTIONS[case]
    last = conv2d(np.ones((2, 1, *kernel)), [1000, -1000], Window(kernel, stride))
    net = replace(network([last], input_format(shape, **form)), density=(0.1,))
    body = compile_here(net) if features == NEWEST else compile_network(net, features)
    random = np.random.default_rng(1)
    full = random.integers(1, 256, (4, *shape), np.uint8)
    sparse = full * (random.random(full.shape) < 0.2)
    blank = np.zeros((1, *shape), np.uint8)
    with Session(net, RunTrigger(), body=body) as session:
        agree(session, np.concatenate([part for sample in (*full, *sparse) for part in (sample[None], blank)]))


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        ("conv32x3-10", (16, 14, 14)),
        ("conv32x3-10", (24, 14, 14)),
        ("conv16x5-10", (16, 8, 8)),
        ("conv16x7-10", (16, 12, 12)),
        ("conv64x3-10", (64, 14, 14)),
    ],
    ids=str,
)
def test_many_channels_of_sparse_inputs(architecture: str, shape: tuple[int, ...]) -> None:
    """Branches round blank rows, in a loop over channels in an iterator's loop, would be walked a million times."""
    net = random_network(architecture, 1, shape)
    equal(replace(net, density=(0.05,) * len(net.layers)))
