"""The oracle's own arithmetic by numbers worked out on paper, and the package's reference by the oracle's."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ebpfnn import QuantizedNetwork
from ebpfnn.network import encoding, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Conv2d, Dense, Layer, MaxPool, Requantization, Table, Window

from . import arithmetic, corners, generate

WHOLE = {"low": -(2**31), "high": 2**31 - 1}


def by(positive: list[int], negative: list[int], shift: int, **ends: int) -> Requantization:
    return Requantization(np.array(positive, np.int32), np.array(negative, np.int32), shift, **ends)


def conv(weights: object, bias: list[int], window: Window, **more: int) -> Conv2d:
    same = [1 << 8] * len(bias)
    return Conv2d(np.array(weights, np.int8), np.array(bias, np.int32), by(same, same, 8, **WHOLE), window, **more)


def test_the_page_by_hand() -> None:
    """What "By hand" in docs/quantization.md comes to, from its scales."""
    step = 1.29 / 127
    ratios = [0.01 / 255 / step, 0.002 / 255 / step]
    hidden = by([round(r * 2**39) for r in ratios], [round(r / 8 * 2**39) for r in ratios], 39, low=-127, high=127)
    halves = by([1 << 29, 1 << 30], [1 << 29, 1 << 30], 30, **WHOLE)
    first = Dense(np.array([[127, 10], [-127, 60]], np.int8), np.array([0, 12750], np.int32), hidden)
    last = Dense(np.array([[127, 50], [-127, 50]], np.int8), np.array([0, 9845], np.int32), halves)
    sample = np.array([[255, 51]], np.uint8)
    assert arithmetic.dense(first, sample.astype(np.int64)).tolist() == [[32895, -16575]]
    assert arithmetic.requantize(hidden, np.array([[32895, -16575]])).tolist() == [[127, -2]]
    assert arithmetic.dense(last, np.array([[127, -2]])).tolist() == [[16029, -6384]]
    tested = QuantizedNetwork("by hand", InputFormat((2,)), ("0", "1"), (first, last))
    assert arithmetic.scores(tested, sample).tolist() == [[8015, -6384]]


def test_halves_go_up_and_ends_hold() -> None:
    acc = np.array([[5, -5, 1000, -1000]])
    halves = by([1] * 4, [1] * 4, 1, low=-128, high=127)
    assert arithmetic.requantize(halves, acc).tolist() == [[3, -2, 127, -128]]
    moved = by([1] * 4, [0] * 4, 1, low=-128, high=127, zero_point=-7)
    assert arithmetic.requantize(moved, acc).tolist() == [[-4, -7, 127, -7]]


def test_levels_count_thresholds() -> None:
    form = InputFormat((7,), 2, (1, 100, 255))
    sample = np.array([[0, 1, 99, 100, 101, 254, 255]], np.uint8)
    assert arithmetic.levels(form, sample).tolist() == [[0, 1, 1, 2, 2, 2, 3]]


def test_levels_count_thresholds_of_their_own() -> None:
    form = InputFormat((4,), 2, value_thresholds=((1, 100, 255), (7, 7, 256), (1, 1, 1), (256, 256, 256)))
    samples = np.array([[0, 6, 0, 0], [1, 7, 1, 1], [99, 255, 255, 254], [255, 8, 2, 255]], np.uint8)
    assert arithmetic.levels(form, samples).tolist() == [[0, 0, 0, 0], [1, 2, 3, 0], [1, 2, 3, 0], [3, 2, 3, 0]]


@pytest.mark.parametrize(("order", "wanted"), [("big", [0b00010110, 0b10101100]), ("little", [0b10010100, 0b00111010])])
def test_levels_lie_in_bytes(order: str, wanted: list[int]) -> None:
    form = InputFormat((7,), 2, (1, 100, 255), packed=True, bit_order=order)
    sample = np.array([[0, 1, 99, 100, 101, 254, 255]], np.uint8)
    assert arithmetic.given_bytes(form, sample).tolist() == [wanted]


def test_a_convolution_moves_over_its_edge() -> None:
    """Padding of 9 above and to the left of 1 2 / 3 4; a stride of 2 columns leaves one of two."""
    layer = conv([[[[1, 10], [2, 20]]]], [5], Window((2, 2), (1, 2), (1, 1, 0, 0)), pad_value=9)
    image = np.array([[[1, 2], [3, 4]]], np.int64)
    assert arithmetic.convolution(layer, image).tolist() == [[[[5 + 9 + 90 + 18 + 20], [5 + 9 + 10 + 18 + 60]]]]


def test_groups_see_their_own_channels() -> None:
    layer = conv([[[[1]]], [[[2]]], [[[3]]], [[[4]]]], [0, 0, 0, 1], Window((1, 1)), groups=2)
    assert arithmetic.convolution(layer, np.array([[[[5]], [[7]]]])).ravel().tolist() == [5, 10, 21, 29]


def test_a_pool_takes_no_place_outside() -> None:
    pool = MaxPool(Window((2, 2), (1, 2), (1, 0, 0, 1)))
    assert arithmetic.max_pool(pool, np.array([[[-5, -3, -9], [-7, -8, -1]]])).tolist() == [[[[-3, -9], [-3, -1]]]]


def test_the_first_of_equal_scores_is_the_label() -> None:
    assert arithmetic.label([-3, 7, 7, 1]) == 1


def test_the_reference_computes_what_the_page_says() -> None:
    for seed in range(100):
        network = generate.network(seed)
        samples = corners.judged(network.input, seed)
        wanted = arithmetic.scores(network, samples).tolist()
        assert reference.scores(network, samples).tolist() == wanted, seed
        given = arithmetic.given_bytes(network.input, samples)
        assert encoding.encode(network.input, samples).tolist() == given.tolist(), seed
        assert reference.scores_of_encoded(network, given).tolist() == wanted, seed


def test_networks_are_of_every_kind() -> None:
    """Of 200, so many as make it no chance that a kind is there: one that is gone would be missed by nobody else."""
    found: Counter[str] = Counter()
    for seed in range(200):
        found.update(set(_kinds(generate.network(seed))))
    assert {kind: found[kind] for kind in WANTED if found[kind] < 3} == {}


WANTED = (
    *(f"{bits} bits{packed}" for bits in (1, 2, 4) for packed in ("", " packed big", " packed little")),
    *(f"{form}, own thresholds" for form in ("1 bits", "2 bits", "4 bits", "", " packed big", " packed little")),
    *("8 bits", "flat", "one value", "one column", "narrow", "wide", "channels", "density unknown", "low", "high"),
    *(
        "signed pool at an edge",
        "Dense",
        "Conv2d",
        "MaxPool",
        "last Dense",
        "last Conv2d",
        "blank last Conv2d",
        "groups",
        "stride",
        "edge",
        "pad value",
    ),
    *(
        "s8",
        "u8",
        "low above 0",
        "zero point",
        "weighs nothing",
        "weighs all",
        "bias at its end",
        "leaky",
        "scores in a byte",
        "activation table",
    ),
)


def _kinds(network: QuantizedNetwork) -> list[str]:
    form, last = network.input, network.layers[-1]
    packed = f" packed {form.bit_order}" if form.packed else ""
    share = network.density[-1] if network.density else None
    facts = {
        "flat": len(form.shape) == 1,
        "one value": form.size == 1,
        "one column": len(form.shape) > 1 and form.shape[-1] == 1,
        "narrow": len(form.shape) > 1 and form.shape[-1] <= 8,
        "wide": form.shape[-1] > 8,
        "channels": len(form.shape) == 3 and form.shape[0] > 1,
        "density unknown": share is None,
        "low": share is not None and share < 0.1,
        "high": share is not None and share > 0.9,
        "blank last Conv2d": isinstance(last, Conv2d) and last.inputs == 1 and share is not None and share < 0.4,
        "scores in a byte": not isinstance(last, MaxPool) and last.requantization.one_byte,
    }
    kinds = [f"{form.bits} bits{packed}", f"last {type(last).__name__}", *(name for name, holds in facts.items() if holds)]
    if form.value_thresholds:
        kinds += [f"{form.bits} bits, own thresholds", f"{packed}, own thresholds"]
    for layer, (low, high) in zip(network.layers, network.ranges, strict=True):
        kinds += [type(layer).__name__, *_kinds_of(layer, max(abs(low), abs(high)))]
        if isinstance(layer, MaxPool) and any(layer.window.padding) and low < 0:
            kinds.append("signed pool at an edge")
    return kinds


def _kinds_of(layer: Layer, largest: int) -> list[str]:
    if isinstance(layer, Table):
        return []
    window = None if isinstance(layer, Dense) else layer.window
    facts = {"stride": bool(window) and window.stride != (1, 1), "edge": bool(window) and any(window.padding)}
    if not isinstance(layer, MaxPool):
        by, weights = layer.requantization, np.abs(layer.weights.astype(int)).reshape(layer.outputs, -1).sum(axis=1)
        facts |= {
            "groups": isinstance(layer, Conv2d) and layer.groups > 1,
            "pad value": isinstance(layer, Conv2d) and layer.pad_value != 0,
            "s8": by.one_byte and by.low < 0,
            "u8": by.one_byte and by.high > 127,
            "low above 0": by.low > 0,
            "zero point": by.zero_point != 0,
            "weighs nothing": not weights.all(),
            "weighs all": bool((layer.weights != 0).all()),
            "bias at its end": bool((weights * largest + np.abs(layer.bias.astype(int)) == 2**31 - 1).any()),
            "activation table": by.activation is not None,
            "leaky": bool((by.negative != by.positive).any() and by.negative.any()),
        }
    return [name for name, holds in facts.items() if holds]


def test_a_byte_selects_an_entry_of_a_table() -> None:
    """(26): s8 bytes below 0 are the upper half of the table."""
    one, table = np.array([1 << 30], np.int32), np.arange(256, dtype=np.int16) - 128
    by = Requantization(one, one, 30, -128, 127, activation=table)
    acc = np.array([[[-500, -128, -1, 0, 1, 127, 500]]])
    assert arithmetic.activate(by, acc).tolist() == [[[0, 0, 127, -128, -127, -1, -1]]]
    np.testing.assert_array_equal(reference.requantize(by, acc), arithmetic.activate(by, acc))
