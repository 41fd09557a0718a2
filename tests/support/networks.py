"""Networks for the tests, random and extreme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import isqrt, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.architecture import Step, parse
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import (
    INT32_MAX,
    INT32_MIN,
    Conv2d,
    Dense,
    Layer,
    MaxPool,
    Requantization,
    Shape,
    Weighted,
    Window,
    image_shape,
)

THRESHOLDS = {1: (100,), 2: (40, 128, 230), 4: tuple(range(11, 251, 16)), 8: ()}
"""Some for each number of bits."""


def network(layers: Sequence[Layer], form: InputFormat | None = None) -> QuantizedNetwork:
    """``layers`` as a network; over flat samples of 8 bits where no ``form`` is given."""
    form = form or InputFormat((getattr(layers[0], "inputs"),))  # noqa: B009
    shape = form.shape
    for layer in layers:
        shape = layer.output_shape(shape)
    return QuantizedNetwork("test", form, tuple(map(str, range(prod(shape)))), tuple(layers))


def input_format(shape: Shape, bits: int = 8, *, packed: bool = False, bit_order: str = "big") -> InputFormat:
    return InputFormat(shape, bits, THRESHOLDS[bits], packed, bit_order)


def own_format(size: int, bits: int, seed: int, **fields: Any) -> InputFormat:
    """Flat samples whose values have thresholds of their own: random ones, and in turn equal, lowest and highest ones."""
    random, count = np.random.default_rng(seed), 2**bits - 1
    own = np.sort(random.integers(1, 257, (size, count)), axis=1)
    for place, kind in enumerate((own[:, :1], 1, 256)):
        own[place + 1 :: 5] = kind if isinstance(kind, int) else kind[place + 1 :: 5]
    own[4::5, 0], own[4::5, -1] = 1, 256
    return InputFormat((size,), bits, value_thresholds=tuple(map(tuple, own.tolist())), **fields)


def around_own(form: InputFormat) -> NDArray[np.uint8]:
    """Values all one below, at, and one above their own thresholds, one after the other: uint8 [3 * thresholds, values]."""
    own = np.array(form.value_thresholds).T
    return np.clip(np.concatenate([own - 1, own, own + 1]), 0, 255).astype(np.uint8)


def small_weights(widths: Sequence[int], form: InputFormat, seed: int) -> QuantizedNetwork:
    """Dense layers of weights so small that hardly an output is clipped: a level that is wrong shows in the scores."""
    random = np.random.default_rng(seed)
    layers = [random.choice([-3, -2, -1, 1, 2, 3], (outputs, inputs)) for inputs, outputs in pairwise(widths)]
    clipped = {"low": -128, "high": 127}
    hidden = [dense(weights, random.integers(-9, 9, len(weights)), **clipped) for weights in layers[:-1]]
    return network([*hidden, dense(layers[-1], np.arange(widths[-1]))], form)


def dense(weights: ArrayLike, bias: ArrayLike, **fields: Any) -> Dense:
    """A last layer that passes its accumulators on as they are, unless ``fields`` of its requantization say otherwise."""
    weights, bias = np.asarray(weights, np.int8), np.asarray(bias, np.int32)
    return Dense(weights, bias, requantization(len(bias), **fields))


def conv2d(weights: ArrayLike, bias: ArrayLike, window: Window, groups: int = 1, pad_value: int = 0, **fields: Any) -> Conv2d:
    """As :func:`dense`, for a convolution."""
    weights, bias = np.asarray(weights, np.int8), np.asarray(bias, np.int32)
    return Conv2d(weights, bias, requantization(len(bias), **fields), window, groups, pad_value)


def requantization(channels: int, **fields: Any) -> Requantization:
    """One that passes accumulators on as they are, unless ``fields`` say otherwise."""
    one = np.full(channels, 1 << 30, np.int32)
    plain: dict[str, Any] = {"positive": one, "negative": one, "shift": 30, "low": INT32_MIN, "high": INT32_MAX}
    return Requantization(**{**plain, **fields})


def random_network(
    given: str | Sequence[int],
    seed: int,
    shape: Shape | None = None,
    *,
    bits: int = 8,
    packed: bool = False,
    bit_order: str = "big",
) -> QuantizedNetwork:
    """A network of an architecture (``"conv4x3s2p1-dw3-pool2-5"``, :mod:`ebpfnn.network.architecture`), or dense by its widths.

    Weights and biases are random, multipliers and shifts such that outputs use their range. Between layers are u8, s8 or 3
    bits, with zero points, padding and slopes of every kind. ``shape`` is a sample's: for widths, the first of them where
    None; for an architecture (1, 12, 12).
    """
    random = np.random.default_rng(seed)
    if not isinstance(given, str):
        shape = shape or (given[0],)
        given = "-".join(map(str, given))
    form = input_format(shape or (1, 12, 12), bits, packed=packed, bit_order=bit_order)
    steps = parse(given, form.shape)
    layers: list[Layer] = []
    shape, low, high = form.shape, 0, form.highest
    for number, step in enumerate(steps):
        layer = _random_layer(random, step, shape, (low, high), last=number + 1 == len(steps))
        layers.append(layer)
        shape = layer.output_shape(shape)
        if not isinstance(layer, MaxPool):
            low, high = layer.requantization.low, layer.requantization.high
    return network(layers, form)


def _random_layer(random: np.random.Generator, step: Step, shape: Shape, given: tuple[int, int], *, last: bool) -> Layer:
    if step.kind == "pool":
        assert step.window
        return MaxPool(step.window)
    if step.kind == "dense":
        weights, bias = _random_weights(random, (step.channels, prod(shape)))
        return Dense(weights, bias, _random_requantization(random, weights, given, last=last))
    channels, rows, columns = image_shape(shape)
    window = step.window or Window((rows, columns), (rows, columns))
    outputs, groups = (step.channels, step.groups) if step.kind == "conv" else (channels, channels)
    weights, bias = _random_weights(random, (outputs, channels // groups, *window.kernel))
    by = _random_requantization(random, weights, given, last=last)
    pad_value = int(random.choice([0, *given, random.integers(given[0], given[1] + 1)]))
    return Conv2d(weights, bias, by, window, groups, pad_value if given[0] <= pad_value <= given[1] else given[0])


def _random_weights(random: np.random.Generator, shape: Shape) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    largest = random.choice([1, 7, 127])
    weights = random.integers(-largest, largest + 1, shape).astype(np.int8)
    return weights, random.integers(-(1 << 13), 1 << 13, shape[0]).astype(np.int32)


def _random_requantization(
    random: np.random.Generator, weights: NDArray[np.int8], given: tuple[int, int], *, last: bool
) -> Requantization:
    zero_point = int(random.choice([0, 0, 3, -2]))
    low, high = (
        (INT32_MIN, INT32_MAX) if last else ((0, 255), (-127, 127), (-128, 127), (0, 7), (-4, 3), (17, 200))[random.integers(6)]
    )
    positive = random.integers(1 << 29, 1 << 31, len(weights)).astype(np.int32)
    negative = (positive * random.choice([0, 0.125, 1])).astype(np.int32)
    # A typical accumulator, in steps of the output: what is left of it after the multiplier's 30 bits.
    typical = isqrt(int(np.square(weights[0].astype(np.int64)).sum())) * max(map(abs, given)) // 2
    shift = 30 if last else min(62, 30 + max(0, typical.bit_length() - high.bit_length() + 1))
    return Requantization(positive, negative, shift, low, high, zero_point, 1.0)


FAR_WEIGHTS = {
    "one channel": (1, 8, (58, 59), 1.0),
    "each of two channels": (2, 8, (47, 47), 1.0),
    "a last tile of one word": (28, 121, (5, 5), 1.0),
    "blank rows": (1, 8, (270, 8), 0.1),
}
"""Channels, outputs, a window and a density: convolutions whose weights are further apart than an offset of a load reaches."""


def far_weights(case: str) -> QuantizedNetwork:
    """That of :data:`FAR_WEIGHTS`, over an image as large as its window."""
    channels, outputs, window, density = FAR_WEIGHTS[case]
    random = np.random.default_rng(4)
    weights = random.integers(-7, 8, (outputs, channels, *window))
    hidden = conv2d(weights, np.arange(outputs), Window(window), shift=32, low=-127, high=127)
    tail = dense(random.integers(-127, 128, (5, outputs)), np.arange(5))
    return replace(network([hidden, tail], input_format((channels, *window), bits=1)), density=(density, 1.0))


def _extreme(shape: Shape, **fields: Any) -> Layer:
    """Weights of 127, so that lanes are soon full."""
    random, by = np.random.default_rng(5), {"shift": 44, "low": -127, "high": 127, **fields}
    weights, bias = random.choice([-127, 127], shape), np.arange(shape[0])
    return dense(weights, bias, **by) if len(shape) == 2 else conv2d(weights, bias, Window(shape[2:]), **by)


def far_code(case: str) -> QuantizedNetwork:
    """That of :data:`FAR_CODE`: layers of which a jump would have to go over more than it can, were they written out."""
    layers, shape = FAR_CODE[case]
    found, given = list(layers()), shape
    for layer in found:
        given = layer.output_shape(given)
    tail = dense(np.random.default_rng(6).integers(-9, 10, (5, prod(given))), np.arange(5))
    return network([*found, tail], InputFormat(shape))


FAR_CODE: dict[str, tuple[Callable[[], Sequence[Layer]], Shape]] = {
    "a dense layer in many segments": (lambda: [_extreme((90, 6000))], (6000,)),
    "a window in many segments": (lambda: [_extreme((6, 100, 7, 7))], (100, 7, 8)),
    "a large window": (lambda: [conv2d(np.ones((6, 1, 75, 66)), np.arange(6), Window((75, 66)), **_BYTES)], (1, 76, 68)),
    "a pool of a large window": (lambda: [_extreme((1, 1, 1, 1), shift=37), MaxPool(Window((75, 76)))], (1, 77, 76)),
    "groups of many outputs": (
        lambda: [conv2d(np.ones((4000, 5, 5, 5)), np.arange(4000), Window((5, 5)), 4, **_BYTES)],
        (20, 5, 5),
    ),
    "an edge round long rows": (
        lambda: [conv2d(np.ones((2, 1, 2, 3)), [1, 2], Window((2, 3), (1, 999), (1, 1, 0, 1)), **_BYTES)],
        (1, 2, 40_000),
    ),
}
_BYTES = {"shift": 37, "low": -127, "high": 127}


def samples(shape: int | Shape, seed: int) -> NDArray[np.uint8]:
    """Pixels of ``shape`` (a number: flat), uint8 [16, *shape]: dense, sparse, all zero, all 255, all 1 and all 128."""
    random = np.random.default_rng(seed)
    shape = (shape,) if isinstance(shape, int) else shape
    full = random.integers(0, 256, (12, *shape))
    sparse = np.where(random.random((6, *shape)) < 0.2, full[:6], 0)
    return np.concatenate([sparse, full[6:], *(np.full((1, *shape), value) for value in (0, 255, 1, 128))]).astype(np.uint8)


def weighted(net: QuantizedNetwork) -> list[Weighted]:
    """The layers that have weights."""
    return [layer for layer in net.layers if not isinstance(layer, MaxPool)]
