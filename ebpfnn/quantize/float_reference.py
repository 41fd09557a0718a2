"""The float forward pass in numpy: what a network computed before quantization, without PyTorch."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError
from ..network.encoding import levels
from ..network.graph import check
from ..network.joins import MOST_JOINED, added_shape, joined_shape
from ..network.layers import MaxPool, Shape, SquaredError, Window, describe, expect, image_shape
from . import functions
from .floats import (
    Activation,
    AvgPool,
    FloatAdd,
    FloatConcat,
    FloatConv2d,
    FloatDense,
    FloatJoin,
    FloatLayer,
    FloatSquaredError,
    Network,
)

CHUNK = 1 << 22
"""How many numbers a step works on at a time: 32 MiB of float64."""

_Floats = NDArray[np.float64]


def logits(network: Network, samples: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The logits, float64 [n, classes], of ``samples``, uint8 [n, *shape] of pixels.

    Raises :class:`InputError` for samples of another dtype or shape, :class:`ModelError` for layers that do not fit.
    """
    if samples.dtype != np.uint8 or samples.shape[1:] != network.input.shape or samples.ndim == 0:
        given = f"{samples.dtype} {list(samples.shape)}"
        raise InputError(f"samples: {given}; give uint8 [n, *{list(network.input.shape)}]")
    return np.concatenate([_logits(network, samples[start : start + 256]) for start in range(0, max(1, len(samples)), 256)])


def _logits(network: Network, samples: NDArray[np.uint8]) -> _Floats:
    held = [levels(network.input, samples) / network.input.highest]
    for number, (layer, sources) in enumerate(zip(network.layers, network.takes, strict=True)):
        try:
            held.append(forward(layer, *(held[source + 1] for source in sources)))
        except ModelError as error:
            raise ModelError(f"network '{network.name}', layer {number} {error}") from error
        if not network.sources:
            held[-2] = held[-1][:0]  # of a chain, nothing else takes it
    return held[-1].reshape(len(samples), prod(held[-1].shape[1:]))


def shapes(network: Network) -> list[Shape]:
    """That of the sample, and what each layer gives. Raises :class:`ModelError`, naming the layer, where one does not fit."""
    counts = {FloatAdd: (2, 2), FloatSquaredError: (2, 2), FloatConcat: (2, MOST_JOINED)}
    check(network.takes, [counts.get(type(layer), (1, 1)) for layer in network.layers])
    found = [network.input.shape]
    for number, (layer, sources) in enumerate(zip(network.layers, network.takes, strict=True)):
        try:
            found.append(output_shape(layer, *(found[source + 1] for source in sources)))
        except ModelError as error:
            raise ModelError(f"layer {number} {error}") from error
    return found


def forward(layer: FloatLayer, *given: _Floats) -> NDArray[np.float64]:
    """The outputs of ``layer``, float64 [n, *output shape], for ``given``, float64 [n, *shape] each.

    Raises :class:`ModelError` where they do not fit the layer.
    """
    values = given[0]
    if isinstance(layer, FloatJoin):
        joined = (len(values), *output_shape(layer, *(each.shape[1:] for each in given)))
        if isinstance(layer, FloatAdd):
            one, other = (factor * each.reshape(joined) for factor, each in zip(layer.factors, given, strict=True))
            return activate(layer.activation, one + other)
        flat = np.concatenate([each.reshape(len(values), -1) for each in given], axis=1)
        return activate(layer.activation, flat.reshape(joined))
    if isinstance(layer, FloatSquaredError):
        output_shape(layer, *(each.shape[1:] for each in given))
        one, other = (each.reshape(len(values), -1) for each in given)
        found: _Floats = layer.factor * np.square(one - other).mean(axis=1, keepdims=True)
        return found
    shape = output_shape(layer, values.shape[1:])
    if isinstance(layer, FloatDense):
        outputs = values.reshape(len(values), prod(values.shape[1:])) @ layer.weights.T.astype(np.float64) + layer.bias
        return activate(layer.activation, outputs)
    images = values.reshape(len(values), *image_shape(values.shape[1:]))
    if isinstance(layer, MaxPool):
        return _pool(images, layer.window, shape, largest=True)
    if isinstance(layer, AvgPool):
        window = pool_window(layer, values.shape[1:])
        return _pool(images, window, shape, largest=False) / prod(window.kernel)
    step = max(1, CHUNK // (images.shape[1] * prod(layer.window.kernel) * prod(shape[1:])))
    parts = [_convolve(layer, images[start : start + step], shape) for start in range(0, max(1, len(images)), step)]
    return activate(layer.activation, np.concatenate(parts))


def output_shape(layer: FloatLayer, *shapes: Shape) -> Shape:
    """The shape of what ``layer`` makes of values of ``shapes``. Raises :class:`ModelError` where they do not fit."""
    if isinstance(layer, FloatJoin):
        return added_shape(*shapes) if isinstance(layer, FloatAdd) else joined_shape(*shapes)
    if isinstance(layer, FloatSquaredError):
        return SquaredError().output_shape(*shapes)
    expect(len(shapes) == 1, f"takes one value, but {len(shapes)} are given")
    (shape,) = shapes
    if isinstance(layer, MaxPool):
        return layer.output_shape(shape)
    if isinstance(layer, AvgPool):
        return (image_shape(shape)[0], *pool_window(layer, shape).output_size(shape))
    inputs = prod(shape)
    wanted = f"[outputs, {inputs}]"
    fits = layer.weights.shape[1:] == (inputs,)
    if isinstance(layer, FloatConv2d):
        inputs, groups = image_shape(shape)[0], layer.groups
        expect(groups >= 1 and inputs % groups == 0, f"splits {inputs} channels in {groups} groups; give a divisor")
        wanted = f"[channels, {inputs // groups}, {', '.join(map(str, layer.window.kernel))}]"
        fits = layer.weights.shape[1:] == (inputs // groups, *layer.window.kernel) and len(layer.weights) % groups == 0
    given = f"weights {list(layer.weights.shape)} and bias {list(layer.bias.shape)}"
    fits = fits and len(layer.weights) > 0 and layer.bias.shape == layer.weights.shape[:1]
    expect(fits, f"has {given}, which do not fit {describe(shape)}; give {wanted} and one bias an output")
    return layer.bias.shape if isinstance(layer, FloatDense) else (len(layer.bias), *layer.window.output_size(shape))


def pool_window(layer: AvgPool, shape: Shape) -> Window:
    """The window of ``layer`` over images of ``shape``. Raises :class:`ModelError` where ``shape`` is not an image."""
    _, rows, columns = image_shape(shape)
    return layer.window or Window((rows, columns), (rows, columns))


def activate(by: Activation, outputs: _Floats) -> NDArray[np.float64]:
    """What follows a layer, of its ``outputs``, float64 [n, outputs or channels, ...]."""
    slopes = np.array(by.slopes).reshape(-1, *(1,) * (outputs.ndim - 2)) if by.slopes else by.slope
    activated: _Floats = np.clip(np.where(outputs < 0, outputs * slopes, outputs), by.low, by.high)
    return functions.apply(by.functions, activated)


def _padded(images: _Floats, window: Window, value: float) -> _Floats:
    top, left, bottom, right = window.padding
    return np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _pool(images: _Floats, window: Window, shape: Shape, *, largest: bool) -> _Floats:
    """The largest value, or the sum, of each window: one place of the window after another, which copies little."""
    padded = _padded(images, window, -np.inf if largest else 0.0)
    combine = np.maximum if largest else np.add
    total: _Floats = np.full((len(images), *shape), -np.inf if largest else 0.0)
    ends = [size * step for size, step in zip(shape[1:], window.stride, strict=True)]
    for row, column in np.ndindex(*window.kernel):
        place = padded[:, :, row : row + ends[0] : window.stride[0], column : column + ends[1] : window.stride[1]]
        combine(total, place, out=total)
    return total


def _convolve(layer: FloatConv2d, images: _Floats, shape: Shape) -> _Floats:
    """A matrix product over the columns of all windows, group by group."""
    rows, columns = layer.window.stride
    padded = _padded(images, layer.window, 0.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer.window.kernel, axis=(2, 3))
    unrolled = windows[:, :, ::rows, ::columns].transpose(0, 1, 4, 5, 2, 3)
    unrolled = unrolled.reshape(len(images), layer.groups, layer.weights[0].size, prod(shape[1:]))
    weights = layer.weights.reshape(layer.groups, len(layer.weights) // layer.groups, -1).astype(np.float64)
    outputs: _Floats = (weights @ unrolled).reshape(len(images), *shape) + layer.bias[:, None, None]
    return outputs
