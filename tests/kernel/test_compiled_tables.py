"""Networks of tables in the kernel compute what the reference computes: every form of sample, group, lane and feature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from agreement import agree
from ebpfnn_plugins.run import RunTrigger
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import conv2d, dense, network, own_format, random_network, requantization, samples
from numpy.typing import NDArray
from tablelayers import binary_form, grouped, table, tail, two_layers, with_occupied

from ebpfnn.compiler import KernelFeatures, compile_network
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.compiler.plan import BLANK_TABLES, LISTED_TABLES
from ebpfnn.kernel.features import has_callback_loops
from ebpfnn.network import QuantizedNetwork, encoding, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import INT32_MAX, ByteLanes, MaxPool, Table, Window
from ebpfnn.network.network import Next
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here

pytestmark = pytest.mark.root
FEATURES = {"iterators": NEWEST, "callbacks": MIDDLE, "walked": OLDEST}
of_every_kernel = pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)


def equal(tested: QuantizedNetwork, features: KernelFeatures = NEWEST, seed: int = 0) -> None:
    """Of the newest features, those that this kernel has."""
    if features == MIDDLE and not has_callback_loops():
        pytest.skip("this kernel has no bpf_loop")
    body = compile_here(tested) if features == NEWEST else compile_network(tested, features)
    with Session(tested, RunTrigger(), body=body) as session:
        agree(session, samples(tested.input_shape, seed))


@pytest.mark.parametrize(
    ("outputs", "shift"), [*((33, shift) for shift in range(8)), (1, 0), (8, 1), (20, 3), (64, 1), (65, 2), (130, 4)]
)
def test_bytes_of_a_packed_sample_select_rows(outputs: int, shift: int) -> None:
    net = two_layers(binary_form((28, 28), packed=True), grouped(784, 8), outputs, shift, shift=shift)
    equal(net, seed=outputs)


@of_every_kernel
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize(("packed", "order"), [(False, "big"), (True, "big"), (True, "little")])
def test_every_form_of_sample(packed: bool, order: str, bits: int, features: KernelFeatures) -> None:
    """Groups that lie in bytes, some of them in a part of one; groups that do not; groups of fewer members."""
    form, random = binary_form(101, bits, packed=packed, bit_order=order), np.random.default_rng(bits)
    for members in {8 // bits, 4 // bits or 1, 3 // bits or 1}:
        for order_of in (grouped(101, members), grouped(101, members, random, gaps=0.4)):
            equal(two_layers(form, order_of, 21, members, shift=members % 3), features, members)


@pytest.mark.parametrize("threshold", [1, 101, 128, 201, 255])
def test_bits_of_groups_by_any_threshold(threshold: int) -> None:
    """Tiles, and groups of any members; in few words, and in so many that numbers go through memory."""
    random = np.random.default_rng(threshold)
    form = replace(binary_form((12, 12)), thresholds=(threshold,))
    tiles = np.arange(144, dtype=np.int32).reshape(6, 2, 3, 4).transpose(0, 2, 1, 3).reshape(-1, 8)
    for order in (tiles, grouped(144, 8, random, gaps=0.3), grouped(144, 8)):
        for outputs in (9, 60):
            net = two_layers(form, order, outputs, outputs)
            given = np.array([threshold - 1, threshold, 0, 255])[random.integers(0, 4, (9, 12, 12))].astype(np.uint8)
            with Session(net, RunTrigger(), body=compile_here(net)) as session:
                agree(session, np.concatenate([given, samples((12, 12), 1)]))


@of_every_kernel
def test_a_sample_in_an_order_of_its_own(features: KernelFeatures) -> None:
    random = np.random.default_rng(4)
    for bits, bit_order in ((1, "big"), (1, "little"), (2, "big")):
        order = tuple(random.permutation(101).tolist())
        form = binary_form(101, bits, packed=True, bit_order=bit_order, order=order)
        short = 8 // bits
        same = np.append(order, [-1] * (-101 % short)).reshape(-1, short).astype(np.int32)
        equal(two_layers(form, same, 20, bits), features)
        equal(two_layers(form, grouped(101, short, random, gaps=0.2), 20, bits), features)
        weights = random.integers(-99, 100, (9, 101))
        equal(
            network([dense(weights, np.arange(9), shift=33, low=0, high=7), dense(np.eye(9) * 3, np.arange(9))], form), features
        )
        image = replace(form, shape=(10, 10), order=tuple(random.permutation(100).tolist()))
        window = conv2d(random.integers(-9, 10, (3, 1, 3, 3)), [1, 2, 3], Window((3, 3)))
        flat = conv2d(random.integers(-9, 10, (5, 3, 8, 8)), np.arange(5), Window((8, 8)))
        equal(network([replace(window, requantization=requantization(3, low=-128, high=127)), flat], image), features)


@pytest.mark.parametrize("shift", [0, 3])
def test_sums_that_wrap(shift: int) -> None:
    """Into the next output of their word, and back, as the reference does."""
    form, wrapped = binary_form(160, packed=True), 0
    for seed, largest in enumerate((40, 300, 32767)):
        net = two_layers(form, grouped(160, 8), 24, seed, shift=shift, largest=largest)
        equal(net, seed=seed)
        first = net.layers[0]
        assert isinstance(first, Table)
        sums = reference.accumulate(first, encoding.levels(form, samples(160, seed)).astype(np.int64))
        wrapped += int((np.abs(sums) > 128).sum())
    assert wrapped > 500


def test_inputs_of_eight_bits_and_their_own_thresholds() -> None:
    random = np.random.default_rng(3)
    equal(two_layers(InputFormat((300,)), grouped(300, 1), 64, 1, largest=20))
    equal(two_layers(InputFormat((300,)), grouped(300, 1, random), 12, 1, largest=20))
    for bits in (1, 2, 4):
        equal(two_layers(own_format(61, bits, 1), grouped(61, 8 // bits), 12, bits))
        equal(two_layers(own_format(61, bits, 1), grouped(61, 8 // bits, random), 12, bits))


def test_layers_that_add_the_same_in_any_case() -> None:
    """Some groups, or all of them, which leaves no table."""
    random = np.random.default_rng(3)
    net = two_layers(binary_form(40, packed=True), grouped(40, 8), 20, 1)
    first = net.layers[0]
    assert isinstance(first, Table)
    for same in (slice(1, 3), slice(None)):
        rows = first.tables.copy()
        rows[same] = random.integers(-9, 10, 20)
        equal(replace(net, layers=(replace(first, tables=rows), *net.layers[1:])))


@of_every_kernel
def test_exact_sums(features: KernelFeatures) -> None:
    """Requantized or not, in lanes of every width, in one tile and in several, hidden and last."""
    form = binary_form(90, packed=True)
    for seed, (largest, outputs) in enumerate([(1, 1), (1, 64), (3, 40), (20, 31), (500, 64), (9000, 10), (32767, 3)]):
        random = np.random.default_rng(seed)
        equal(network([table(grouped(90, 8), outputs, random, largest=largest)], form), features, seed)
        positive = random.integers(1 << 20, 1 << 26, outputs).astype(np.int32)
        for slope, low, high, zero in ((0, 0, 255, 0), (0.125, -128, 127, 3), (1, -4, 11, -2), (0.25, 17, 200, 9)):
            by = requantization(
                outputs, positive=positive, negative=(positive * slope).astype(np.int32), low=low, high=high, zero_point=zero
            )
            hidden = table(grouped(90, 8), outputs, random, largest=largest, by=by)
            bits = (high - low).bit_length()
            order = np.arange(outputs, dtype=np.int32)[:, None]
            last = table(
                order,
                7,
                random,
                bits=bits,
                low=low,
                by=replace(by, positive=by.positive[:1].repeat(7), negative=by.negative[:1].repeat(7), low=-300, high=200),
            )
            equal(network([hidden, last], form), features, seed)
            equal(network([hidden, dense(random.integers(-127, 128, (5, outputs)), np.arange(5))], form), features, seed)


@of_every_kernel
@pytest.mark.parametrize("outputs", [8, 33, 64])
def test_sums_of_one_scale(outputs: int, features: KernelFeatures) -> None:
    """They become outputs by a table, or, where 16 bits are too few, by arithmetic."""
    form = binary_form(90, packed=True)
    for seed, largest in enumerate((30, 400, 2000, 9000)):
        random = np.random.default_rng(seed)
        by = requantization(
            outputs, shift=33 + seed, low=-9, high=100, negative=np.full(outputs, seed << 27, np.int32), zero_point=2
        )
        hidden = table(grouped(90, 8), outputs, random, largest=largest, by=by)
        hidden = replace(hidden, bias=random.integers(-15000, 15000, outputs).astype(np.int32))
        last = table(np.arange(outputs, dtype=np.int32)[:, None], 7, random, bits=7, low=-9)
        equal(network([hidden, last], form), features, seed)


@of_every_kernel
def test_between_layers_of_other_kinds(features: KernelFeatures) -> None:
    random = np.random.default_rng(7)
    form = InputFormat((1, 12, 12))
    for low, high in ((-4, 3), (0, 15), (-128, 127), (-1, 0), (100, 163)):
        by = requantization(6, shift=36, low=low, high=high, zero_point=min(high, max(low, 0)))
        window = replace(conv2d(random.integers(-60, 61, (6, 1, 3, 3)), np.arange(6), Window((3, 3))), requantization=by)
        bits = (high - low).bit_length()
        members = max(1, 8 // bits)
        hidden = table(grouped(150, members, random, gaps=0.3), 30, random, bits=bits, low=low, by=ByteLanes(2))
        layers = [window, MaxPool(Window((2, 2), (2, 2))), hidden]
        last = dense(random.integers(-127, 128, (9, 30)), np.arange(9))
        equal(network([*layers, last], form), features)
        deeper = tail(hidden, 12, random, by=ByteLanes(3))
        equal(network([*layers, deeper, tail(deeper, 5, random)], form), features)
        deeper = tail(hidden, 40, random, by=ByteLanes(0))
        equal(network([*layers, deeper, tail(deeper, 5, random)], form), features)


def blobs(random: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Images 28x28 that are blank but for a few squares, and at the border nearly always."""
    images = np.zeros((count, 28, 28), np.uint8)
    for image in images:
        for row, column in random.integers(4, 20, (random.integers(0, 5), 2)):
            image[row : row + 5, column : column + 5] = 255
    images[0], images[1, 27, 27], images[2] = 0, 255, 255
    return images


@pytest.mark.parametrize("outputs", [16, 32, 64, 70])
def test_branches_skip_blank_groups_exactly(outputs: int) -> None:
    """By what calibration samples occupied, and on samples that occupy what those never did."""
    random = np.random.default_rng(outputs)
    form = binary_form((28, 28), packed=True)
    net = two_layers(form, grouped(784, 8), outputs, outputs, blank=0)
    first = net.layers[0]
    assert isinstance(first, Table)
    numbers = reference.row_numbers(first, encoding.levels(form, blobs(random, 300)).astype(np.int64))
    planned = replace(net, layers=(replace(first, occupied=with_occupied(first, numbers)), *net.layers[1:]))
    body = compile_here(planned)
    assert body.layers[0].shape == (LISTED_TABLES if outputs == 64 else BLANK_TABLES)
    assert body.layers[0].forks > 3
    with Session(planned, RunTrigger(), body=body) as session:
        agree(session, np.concatenate([blobs(random, 60), samples((28, 28), 1)]))


def test_branches_of_groups_that_are_made_of_several_bytes() -> None:
    random = np.random.default_rng(3)
    form = binary_form((28, 28))
    order = grouped(784, 7, random, gaps=0.2)
    first = table(order, 20, random, by=ByteLanes(1), blank=0)
    numbers = reference.row_numbers(first, encoding.levels(form, blobs(random, 300)).astype(np.int64))
    first = replace(first, occupied=with_occupied(first, numbers))
    net = network([first, tail(first, 5, random)], form)
    body = compile_here(net)
    assert body.layers[0].shape == BLANK_TABLES
    with Session(net, RunTrigger(), body=body) as session:
        agree(session, np.concatenate([blobs(random, 60), samples((28, 28), 1)]))


@of_every_kernel
@pytest.mark.parametrize("second", ["same", "large", "conv5x5s2p2-pool2-10", "784-33-10"])
@pytest.mark.parametrize("margin", [1, 20, INT32_MAX])
def test_cascades(margin: int, second: str, features: KernelFeatures) -> None:
    """The next network answers exactly where the first is not sure, whatever its layers are."""
    form = binary_form((28, 28), packed=second in ("same", "large"))
    first = two_layers(form, grouped(784, 8), 8, 1, blank=0)
    if form.packed:
        following = two_layers(form, grouped(784, 8), 8 if second == "same" else 64, 2)
    else:
        following = random_network(second, 2, (28, 28))
    net = replace(first, then=Next(following, margin))
    equal(net, features, 5)


@of_every_kernel
def test_cascades_of_four(features: KernelFeatures) -> None:
    """Each stage answers for some samples; memory of one is used again by the next."""
    net = random_network("conv4x3s2p1-dw3-pool2-10", 3, (1, 12, 12))
    stages = [two_layers(InputFormat((1, 12, 12)), grouped(144, 1), width, width, blank=0) for width in (16, 70)]
    stages.insert(1, random_network("144-40-10", 5, (1, 12, 12)))
    for stage in reversed(stages):
        given = samples((1, 12, 12), 5)
        margins = np.sort(reference.margins(reference.scores(stage, given)))
        net = replace(stage, then=Next(net, max(1, int(margins[len(margins) * 2 // 3]))))
    answered = [
        int((reference.margins(reference.scores(replace(each, then=None), given)) < each.then.margin).sum())
        for each in net.stages[:-1]
        if each.then
    ]
    assert 0 < min(answered) < len(given)
    equal(net, features, 5)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.data())
def test_any_tables(seed: int, data: st.DataObject) -> None:
    random, bits = np.random.default_rng(seed), data.draw(st.sampled_from([1, 2, 4, 8]))
    size = data.draw(st.integers(1, 90))
    packed = bits < 8 and data.draw(st.booleans())
    bit_order = data.draw(st.sampled_from(["big", "little"]))
    order = tuple(random.permutation(size).tolist()) if packed and data.draw(st.booleans()) else ()
    form = binary_form(size, bits, packed=packed, bit_order=bit_order, order=order)
    members = data.draw(st.integers(1, 8 // bits))
    shuffled = random if data.draw(st.booleans()) else None
    order_of = grouped(size, members, shuffled, gaps=0.3)
    outputs, shift = data.draw(st.integers(1, 100)), data.draw(st.integers(0, 7))
    net = two_layers(
        form,
        order_of,
        outputs,
        seed,
        shift=shift,
        classes=data.draw(st.integers(1, 64)),
        largest=data.draw(st.sampled_from([1, 9, 3000])),
    )
    equal(net, data.draw(st.sampled_from([*FEATURES.values()])), seed % 99)
