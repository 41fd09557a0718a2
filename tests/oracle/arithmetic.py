"""docs/quantization.md, one function an equation, in int64 and in the plainest way: loops over outputs, no tricks.

Written from that page alone, and without a name from ``ebpfnn``: what is given are the public data classes, of which fields are
read. The first axis of every array is the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import tables

Integers = NDArray[np.int64]
_INT32 = 2**31 - 1


def levels(form: Any, samples: NDArray[np.uint8]) -> Integers:
    """(1): int64 [n, values]; ``samples`` are pixels, uint8 [n, *shape]."""
    pixels = samples.reshape(len(samples), -1).astype(np.int64)
    if form.bits == 8:
        return pixels
    reached = np.zeros_like(pixels)
    for threshold in form.thresholds:
        reached += pixels >= threshold
    for value, own in enumerate(form.value_thresholds):
        for threshold in own:
            reached[:, value] += pixels[:, value] >= threshold
    return reached


def given_bytes(form: Any, samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(1) and (18): what the kernel is given, uint8 [n, bytes]: the pixels, or 8 / bits levels a byte."""
    if not form.packed:
        return samples.reshape(len(samples), -1)
    each, found = 8 // form.bits, levels(form, samples)
    size = found.shape[1]
    packed = np.zeros((len(samples), -(-size // each)), np.int64)
    for i in range(size):
        from_top = i % each
        place = each - 1 - from_top if form.bit_order == "big" else from_top
        value = form.order[i] if form.order else i
        packed[:, i // each] += found[:, value] << (place * form.bits)
    return packed.astype(np.uint8)


def sums(layer: Any) -> Callable[[Any, Integers], Integers]:
    """What makes a layer's accumulators: :func:`dense`, :func:`convolution` or :func:`.tables.sums`."""
    return {"Dense": dense, "Conv2d": convolution, "Table": tables.sums}[type(layer).__name__]


def activate(by: Any, acc: Integers) -> Integers:
    """(5) and (6), or (20)."""
    return tables.byte_lanes(by.shift, acc) if type(by).__name__ == "ByteLanes" else requantize(by, acc)


def dense(layer: Any, x: Integers) -> Integers:
    """(4): ``x`` is int64 [n, ...], taken as it lies."""
    x = x.reshape(len(x), -1)
    acc = np.empty((len(x), len(layer.bias)), np.int64)
    for o, bias in enumerate(layer.bias.tolist()):
        acc[:, o] = bias + (x * layer.weights[o].astype(np.int64)).sum(axis=1)
    return acc


def convolution(layer: Any, x: Integers) -> Integers:
    """(14): ``x`` is int64 [n, channels, rows, columns], or [n, rows, columns] of one channel."""
    x = as_image(x)
    weights, groups = layer.weights.astype(np.int64), layer.groups
    outputs, inputs = weights.shape[:2]
    padded = with_edge(x, layer.window.padding, layer.pad_value)
    rows, columns = places(x.shape, layer.window)
    acc = np.empty((len(x), outputs, rows, columns), np.int64)
    for o in range(outputs):
        g = o // (outputs // groups)
        group = padded[:, g * inputs : (g + 1) * inputs]
        for row in range(rows):
            for column in range(columns):
                seen = window_at(group, layer.window, row, column)
                acc[:, o, row, column] = int(layer.bias[o]) + (seen * weights[o]).sum(axis=(1, 2, 3))
    return acc


def max_pool(layer: Any, x: Integers) -> Integers:
    """(15): places outside the image are worth less than every value."""
    x = as_image(x)
    padded = with_edge(x, layer.window.padding, -(1 << 40))
    rows, columns = places(x.shape, layer.window)
    y = np.empty((*x.shape[:2], rows, columns), np.int64)
    for row in range(rows):
        for column in range(columns):
            y[:, :, row, column] = window_at(padded, layer.window, row, column).max(axis=(2, 3))
    return y


def places(shape: tuple[int, ...], window: Any) -> tuple[int, int]:
    """Rows and columns of an output: as many as windows fit into the image with its padding."""
    top, left, bottom, right = window.padding
    rows = (shape[-2] + top + bottom - window.kernel[0]) // window.stride[0] + 1
    return rows, (shape[-1] + left + right - window.kernel[1]) // window.stride[1] + 1


def with_edge(x: Integers, padding: tuple[int, ...], value: int) -> Integers:
    top, left, bottom, right = padding
    n, channels, rows, columns = x.shape
    padded = np.full((n, channels, top + rows + bottom, left + columns + right), value, np.int64)
    padded[:, :, top : top + rows, left : left + columns] = x
    return padded


def window_at(padded: Integers, window: Any, row: int, column: int) -> Integers:
    top, left = row * window.stride[0], column * window.stride[1]
    return padded[:, :, top : top + window.kernel[0], left : left + window.kernel[1]]


def requantize(by: Any, acc: Integers) -> Integers:
    """(5), (6) and (26): the second axis of ``acc`` is the output, or the output channel."""
    assert np.abs(acc).max() <= _INT32, "(7) is broken: an accumulator has left int32"
    per_output = (-1, *[1] * (acc.ndim - 2))
    positive, negative = (m.astype(np.int64).reshape(per_output) for m in (by.positive, by.negative))
    m = np.where(acc >= 0, positive, negative)
    v = ((acc * m + (1 << (by.shift - 1))) >> by.shift) + by.zero_point
    v = np.minimum(np.maximum(v, by.low), by.high)
    return v if by.activation is None else looked_up(by.activation, v)


def looked_up(table: NDArray[np.int16], v: Integers) -> Integers:
    """(26)"""
    y = np.empty_like(v)
    for byte in range(256):
        y[v % 256 == byte] = int(table[byte])
    return y


def scores(network: Any, samples: NDArray[np.uint8]) -> Integers:
    """(22): int64 [n, classes] for uint8 [n, *shape], of the networks that decide."""
    found = own_scores(network, samples)
    if network.then is None:
        return found
    following = scores(network.then.network, samples)
    on = [lead(each) < network.then.margin for each in found.tolist()]
    return np.where(np.array(on)[:, np.newaxis], following, found)


def lead(found: list[int]) -> int:
    """(22)"""
    second, best = sorted(found)[-2:]
    return best - second


def own_scores(network: Any, samples: NDArray[np.uint8]) -> Integers:
    """As :func:`scores`, without the rest of a cascade; those of an image lie channel after channel and row after row."""
    given = [levels(network.input, samples).reshape(samples.shape)]
    for number, layer in enumerate(network.layers):
        sources = network.sources[number] if network.sources else (number - 1,)
        given.append(apply(layer, *(given[source + 1] for source in sources)))
    y = given[-1].reshape(len(samples), -1)
    assert np.abs(y).max() <= _INT32 + 1, "a score has left int32"
    return y


def add(layer: Any, given: Sequence[Integers]) -> Integers:
    """(24): the sums, int64 [n, values], of two values of one size, each taken as it lies."""
    one, other = (x.reshape(len(x), -1) for x in given)
    return int(layer.bias[0]) + int(layer.factors[0]) * one + int(layer.factors[1]) * other


def joined_shape(given: Sequence[Integers]) -> tuple[int, ...]:
    """(25): channels beside each other where all are images of one size, else flat."""
    shapes = [x.shape[1:] for x in given]
    images = [(1, *shape)[-3:] for shape in shapes if len(shape) > 1]
    if len(images) == len(shapes) and len({image[1:] for image in images}) == 1:
        return (sum(image[0] for image in images), *images[0][1:])
    return (sum(x[0].size for x in given),)


def join(layer: Any, given: Sequence[Integers]) -> Integers:
    """(24) and (25), and (5) and (6) behind them."""
    n, by = len(given[0]), layer.requantization
    if type(layer).__name__ == "Add":
        images = [(1, *x.shape[1:])[-3:] for x in given if x.ndim > 2]
        found = requantize(by, add(layer, given).reshape(n, 1, -1))
        return found.reshape(n, *(images[0] if images else given[0].shape[1:]))
    parts = []
    for k, x in enumerate(given):
        acc = x.reshape(n, 1, -1) + int(layer.bias[k])
        own = replace(by, positive=by.positive[k : k + 1], negative=by.negative[k : k + 1])
        parts.append(requantize(own, acc).reshape(n, -1))
    return np.concatenate(parts, axis=1).reshape(n, *joined_shape(given))


def squared_error(one: Integers, other: Integers) -> Integers:
    """(28): int64 [n, 1], of two values of one size, each taken as it lies."""
    found = np.zeros((len(one), 1), np.int64)
    for sample, (a, b) in enumerate(zip(one, other, strict=True)):
        for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True):
            found[sample, 0] += (x - y) ** 2
    return found


def apply(layer: Any, *given: Integers) -> Integers:
    """One layer of any kind."""
    if type(layer).__name__ in ("Add", "Concat"):
        return join(layer, given)
    if type(layer).__name__ == "SquaredError":
        return squared_error(*given)
    (x,) = given
    if type(layer).__name__ == "MaxPool":
        return max_pool(layer, x)
    return activate(layer.requantization, sums(layer)(layer, x))


def as_image(x: Integers) -> Integers:
    """A sample of rows and columns alone has one channel."""
    return x if x.ndim == 4 else x[:, np.newaxis]


def label(found: list[int]) -> int:
    """(13)"""
    return found.index(max(found))
