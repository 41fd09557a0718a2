"""The integer forward pass in numpy: the reference that every other form of a network must equal, bit for bit.

The equations are those of docs/quantization.md. Being plainly right comes first; being fast enough for a data set, second.

Sums of products are taken by float64 matrix products, which are exact here: a layer has at most 2^24 weights, each at most 127
in magnitude, and values are bytes, so every partial sum, in whatever order, is an integer below 2^39 (2^53 would still do).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..errors import InputError
from . import encoding
from .graph import SAMPLE, takers
from .inputformat import InputFormat
from .layers import (
    Add,
    ByteLanes,
    Concat,
    Conv2d,
    Dense,
    Join,
    Layer,
    MaxPool,
    Requantization,
    Shape,
    SquaredError,
    Table,
    Weighted,
    Window,
    image_shape,
)
from .network import QuantizedNetwork

_Value = TypeVar("_Value", np.int64, np.float64)
_Integers = NDArray[np.int64]
_Levels = Callable[[InputFormat, NDArray[np.uint8]], NDArray[np.uint8]]
_CHUNK_BYTES = 1 << 25
"""How much memory a chunk of samples may take in its widest layer."""


def scores(network: QuantizedNetwork, samples: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The int32 scores, [n, classes], of pixels, uint8 ``[n, *shape]``; [classes] for one sample ``[*shape]``.

    Raises :class:`InputError` for another dtype or shape.
    """
    shape = network.input_shape
    if samples.dtype != np.uint8 or samples.shape not in (shape, (len(samples) if samples.ndim else 0, *shape)):
        raise InputError(f"samples: {samples.dtype} {list(samples.shape)}; give uint8 {list(shape)} or [n, *{list(shape)}]")
    return _cascade(network, samples, encoding.levels)


def scores_of_encoded(network: QuantizedNetwork, encoded: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The int32 scores, [n, classes], of samples as the kernel gets them, uint8 [n, ``network.input.sample_bytes``].

    [classes] for one sample. Raises :class:`InputError` for another dtype or shape.
    """
    size = network.input.sample_bytes
    if encoded.dtype != np.uint8 or encoded.shape not in ((size,), (len(encoded) if encoded.ndim else 0, size)):
        raise InputError(f"encoded samples: {encoded.dtype} {list(encoded.shape)}; give uint8 [{size}] or [n, {size}]")
    return _cascade(network, encoded, encoding.decode)


def labels(network: QuantizedNetwork, samples: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The index of the highest score of each sample, of equal ones the first (equation 13): [n], or [] for one sample.

    Raises :class:`InputError` as :func:`scores` does.
    """
    return np.asarray(scores(network, samples).argmax(axis=-1), dtype=np.intp)


def density(network: QuantizedNetwork, samples: NDArray[np.uint8]) -> tuple[float, ...]:
    """For each layer the share, 0..1, of the values given to it that are not 0, over pixels, uint8 ``[n, *shape]``, n >= 1.

    Raises :class:`InputError` as :func:`scores` does.
    """
    counts = np.zeros(len(network.layers), np.int64)
    for chunk in _chunks(network, encoding.levels(network.input, samples)):
        gives = [chunk.astype(np.int64), *_outputs(network, chunk)]
        counts += [np.count_nonzero(values) for values in gives[:-1]]
    sizes = [len(samples) * prod(shape) for shape in network.shapes]
    return tuple(
        sum(int(counts[source + 1]) for source in sources) / sum(sizes[source + 1] for source in sources)
        for sources in network.takes
    )


def forward(layer: Layer, *given: _Integers) -> _Integers:
    """The outputs of one layer, int64 ``[n, *output shape]``, for values int64 ``[n, *shape]``, each a byte.

    A layer that joins values is given several.
    """
    if isinstance(layer, Add | Concat):
        return join(layer, given)
    if isinstance(layer, SquaredError):
        return squared_error(*given)
    (values,) = given
    if isinstance(layer, MaxPool):
        return max_pool(layer, values)
    sums, by = accumulate(layer, values), layer.requantization
    return byte_lanes(by, sums) if isinstance(by, ByteLanes) else requantize(by, sums)


def accumulate(layer: Weighted | Table, values: _Integers) -> _Integers:
    """Equations 4, 14 and 19: the accumulators, int64 ``[n, *output shape]``, for values int64 ``[n, *shape]``, each a byte.

    They fit int32 whatever the sample, because QuantizedNetwork refuses a layer that breaks equation 7.
    """
    if isinstance(layer, Table):
        return _table_sums(layer, values) + layer.bias
    sums = _dense_sums(layer, values) if isinstance(layer, Dense) else _conv2d_sums(layer, values)
    accumulators: _Integers = sums.astype(np.int64) + _by_channel(layer.bias, sums)
    return accumulators


def join(layer: Join, given: Sequence[_Integers]) -> _Integers:
    """Equations 24 and 25: the outputs, int64 ``[n, *output shape]``, for what each source gives, int64 ``[n, *shape]``."""
    shape = (len(given[0]), *layer.output_shape(*(values.shape[1:] for values in given)))
    by = layer.requantization
    if isinstance(layer, Add):
        terms = [factor * values.reshape(shape) for factor, values in zip(layer.factors.tolist(), given, strict=True)]
        return requantize(by, sum(terms, layer.bias.astype(np.int64)))
    parts = [
        requantize(_of_one(by, number), values.reshape(shape[0], 1, -1) + bias)
        for number, (values, bias) in enumerate(zip(given, layer.bias.tolist(), strict=True))
    ]
    return np.concatenate(parts, axis=2).reshape(shape)


def squared_error(one: _Integers, other: _Integers) -> _Integers:
    """Equation 28: the sum of squared differences of each sample, int64 [n, 1], of two times int64 ``[n, *shape]``."""
    found: _Integers = np.square(one.reshape(len(one), -1) - other.reshape(len(other), -1)).sum(axis=1, keepdims=True)
    return found


def _of_one(by: Requantization, channel: int) -> Requantization:
    return replace(by, positive=by.positive[[channel]], negative=by.negative[[channel]])


def row_numbers(layer: Table, values: _Integers) -> _Integers:
    """Equation 19: the row that each group selects, int64 [n, groups], for values int64 ``[n, *shape]``, each a byte."""
    levels = values.reshape(len(values), -1) - layer.low
    padded = np.pad(levels, ((0, 0), (0, 1)))  # a member that is none, -1, is the last: level 0
    members = layer.order.shape[1]
    shifts = layer.bits * np.arange(members - 1, -1, -1)
    numbers: _Integers = (padded[:, layer.order] << shifts).sum(axis=-1)
    return numbers


def byte_lanes(by: ByteLanes, accumulators: _Integers) -> _Integers:
    """Equation 20: the outputs, int64 [n, outputs], of accumulators int64 [n, outputs]."""
    count, outputs = accumulators.shape
    lanes = np.zeros((count, -(-outputs // 8) * 8), np.int64)
    lanes[:, :outputs] = accumulators + 128
    # int64 wraps modulo 2^64, as the words of the kernel do.
    words = (lanes.reshape(count, -1, 8) << np.arange(0, 64, 8)).sum(axis=-1)
    found: _Integers = words.astype("<i8").view(np.uint8).reshape(count, -1)[:, :outputs].astype(np.int64) >> by.shift
    return found


def max_pool(layer: MaxPool, values: _Integers) -> _Integers:
    """Equation 15: the largest of each window, int64 [n, channels, rows, columns], for values int64 ``[n, *shape]``."""
    windows = _windows(layer.window, values, np.iinfo(np.int64).min)
    # Place by place of the window, which numpy does faster than window by window.
    return reduce(np.maximum, (windows[..., row, column] for row, column in np.ndindex(layer.window.kernel)))


def requantize(by: Requantization, accumulators: _Integers) -> _Integers:
    """Equations 5, 6 and 26: the outputs, int64, of accumulators int64 [n, channels, ...] or [channels]."""
    clipped: _Integers = np.clip(rescale(by, accumulators), by.low, by.high)
    return clipped if by.activation is None else by.activation.astype(np.int64)[clipped & 255]


def rescale(by: Requantization, accumulators: _Integers) -> _Integers:
    """Equation 5: the outputs before they are clipped, int64, of accumulators int64 [n, channels, ...] or [channels].

    The product and its rounding term fit int64 (equation 8), and numpy's ``>>`` of a signed integer is arithmetic.
    """
    positive, negative = (_by_channel(each, accumulators) for each in (by.positive, by.negative))
    multipliers = np.where(accumulators < 0, negative, positive).astype(np.int64)
    value: _Integers = ((accumulators * multipliers + (1 << (by.shift - 1))) >> by.shift) + by.zero_point
    return value


def margins(scores: NDArray[np.int32]) -> _Integers:
    """By how much the best score leads the second best, int64 [n], for int32 [n, classes], two classes or more."""
    second, best = np.partition(scores.astype(np.int64), -2, axis=-1)[..., -2:].T
    lead: _Integers = best - second
    return lead


def _cascade(network: QuantizedNetwork, given: NDArray[np.uint8], levels: _Levels) -> NDArray[np.int32]:
    """Equation 22: the scores of the network that decides, for what ``levels`` makes the levels of."""
    found = _scores(network, levels(network.input, given))
    if network.then is None:
        return found
    many, each = np.atleast_2d(found), given.reshape(-1, *given.shape[found.ndim - 1 :])
    on = margins(many) < network.then.margin
    if on.any():
        many[on] = _cascade(network.then.network, each[on], levels)
    return many.reshape(found.shape)


def _scores(network: QuantizedNetwork, levels: NDArray[np.uint8]) -> NDArray[np.int32]:
    many = levels.reshape(-1, *network.input_shape)
    found = np.empty((len(many), len(network.labels)), np.int32)
    done = 0
    for chunk in _chunks(network, many):
        *_, last = _outputs(network, chunk)
        # Nothing is lost: the last layer clipped its values to int32, as every layer before it did to a byte.
        found[done : done + len(chunk)] = last.reshape(len(chunk), -1)
        done += len(chunk)
    return found[0] if levels.shape == network.input_shape else found


def _outputs(network: QuantizedNetwork, levels: NDArray[np.uint8]) -> Iterator[_Integers]:
    """What each layer gives, int64 ``[n, *output shape]``."""
    held, last = {SAMPLE: levels.astype(np.int64)}, {source: by[-1:] for source, by in takers(network.takes).items()}
    for number, (layer, sources) in enumerate(zip(network.layers, network.takes, strict=True)):
        held[number] = forward(layer, *(held[source] for source in sources))
        yield held[number]
        for source in set(sources):
            if last[source] == (number,):
                del held[source]


def _chunks(network: QuantizedNetwork, samples: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """So many samples at a time that no layer's windows, accumulators and what they become take much memory."""
    shapes, every = network.shapes, 8 * sum(map(prod, network.shapes)) if network.sources else 0
    widest = every + max(
        _window_values(layer, shapes[sources[0] + 1]) + 8 * max(prod(shapes[sources[0] + 1]), prod(output))
        for layer, sources, output in zip(network.layers, network.takes, shapes[1:], strict=True)
    )
    step = max(1, _CHUNK_BYTES // (8 * widest))
    return (samples[first : first + step] for first in range(0, len(samples), step))


def _window_values(layer: Layer, shape: Shape) -> int:
    """The values that :func:`_conv2d_sums` or :func:`row_numbers` copies for each sample."""
    if isinstance(layer, Table):
        return layer.order.size
    return layer.macs(shape) * layer.groups // layer.outputs if isinstance(layer, Conv2d) else 0


def _table_sums(layer: Table, values: _Integers) -> _Integers:
    """Group by group, so that the rows of one group are all the memory that it takes."""
    sums = np.zeros((len(values), layer.outputs), np.int64)
    for table, numbers in zip(layer.tables, row_numbers(layer, values).T, strict=True):
        sums += table[numbers]
    return sums


def _dense_sums(layer: Dense, values: _Integers) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = values.reshape(len(values), -1).astype(np.float64) @ layer.weights.T.astype(np.float64)
    return sums


def _conv2d_sums(layer: Conv2d, values: _Integers) -> NDArray[np.float64]:
    windows = _windows(layer.window, values.astype(np.float64), layer.pad_value)
    rows, columns = windows.shape[2:4]
    # Within a group, a convolution is one matrix product: [outputs, window's values] times [window's values, places].
    seen = windows.transpose(0, 1, 4, 5, 2, 3).reshape(len(values), layer.groups, -1, rows * columns)
    weights = layer.weights.reshape(layer.groups, layer.outputs // layer.groups, -1).astype(np.float64)
    sums: NDArray[np.float64] = (weights @ seen).reshape(len(values), layer.outputs, rows, columns)
    return sums


def _windows(window: Window, values: NDArray[_Value], pad_value: int) -> NDArray[_Value]:
    """Every window of images, [n, channels, rows, columns, window's rows, window's columns], with an edge of ``pad_value``."""
    images = values.reshape(len(values), *image_shape(values.shape[1:]))
    top, left, bottom, right = window.padding
    edged = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=pad_value)
    rows, columns = window.stride
    return sliding_window_view(edged, window.kernel, axis=(2, 3))[:, :, ::rows, ::columns]


def _by_channel(array: NDArray[np.int32], values: NDArray[Any]) -> NDArray[np.int32]:
    """``array``, int32 [channels], shaped to broadcast against values [n, channels, ...] or [channels]."""
    return array.reshape(-1, *(1,) * (values.ndim - 2))
