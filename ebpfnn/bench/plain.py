"""A quantized network as plain float32 layers: what numpy, PyTorch and onnxruntime are given to compute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..network import QuantizedNetwork
from ..network.encoding import levels
from ..network.graph import SAMPLE, Sources, takers
from ..network.layers import Add, Concat, Conv2d, Dense, Layer, MaxPool, Shape, SquaredError, Table, Weighted, image_shape
from ..quantize.floats import Activation, FloatConv2d, FloatDense

ALIKE = 1e-9
"""How near to 1, or 0, what need not be computed is: rounding of numbers that cancel."""


@dataclass(frozen=True)
class PlainAdd:
    """``sum(factors[i] * values[i]) + bias``, and what follows."""

    factors: tuple[float, ...]
    bias: float
    activation: Activation


@dataclass(frozen=True)
class PlainConcat:
    """``factors[i] * values[i] + biases[i]`` side by side, and what follows."""

    factors: tuple[float, ...]
    biases: tuple[float, ...]
    activation: Activation


@dataclass(frozen=True)
class PlainError:
    """``factor`` times the sum of the squared differences of a value and ``ratio`` times another."""

    ratio: float
    factor: float


PlainLayer = FloatDense | FloatConv2d | MaxPool | PlainAdd | PlainConcat | PlainError


@dataclass(frozen=True)
class Plain:
    """The layers of a network, and the sources of each."""

    layers: tuple[PlainLayer, ...]
    takes: Sources


def as_floats(network: QuantizedNetwork) -> Plain:
    """The layers without rounding and clipping, so that nobody computes what floats can do without.

    A value between them is what the integer is, less its zero point, times a scale of its own: that with which the layers that
    join values have no factors, as in the network that was trained, where one scale does it for all that take the value.

    Raises :class:`NotSupported` for layers of tables, for activations by tables, for images that are joined as flat values,
    and for cascades.
    """
    if network.then:
        raise NotSupported(f"'{network.name}' is a cascade")
    for number, layer in enumerate(network.layers):
        if isinstance(layer, Add | Concat) and len({len(shape) > 1 for shape in _shapes(network, number)}) > 1:
            raise NotSupported(f"'{network.name}' joins images as flat values")
        if isinstance(layer, Table):
            raise NotSupported(f"'{network.name}' has layers of tables, which are no sums of products")
        if isinstance(layer, Weighted) and layer.requantization.function:
            raise NotSupported(f"'{network.name}' has activations that are no ReLU")
    wanted = _wanted(network)
    scales, zero_points = {SAMPLE: 1.0 / network.input.highest}, {SAMPLE: 0}
    layers: list[PlainLayer] = []
    for number, (layer, taken) in enumerate(zip(network.layers, network.takes, strict=True)):
        given = [(scales[source], zero_points[source]) for source in taken]
        if isinstance(layer, MaxPool):
            scales[number], zero_points[number] = given[0]
        elif isinstance(layer, SquaredError):
            scales[number], zero_points[number] = 1.0, 0
        elif not isinstance(layer, Table):
            scales[number], zero_points[number] = wanted[number], layer.requantization.zero_point
        layers.append(_plain(layer, given, scales[number]))
    return Plain(tuple(layers), network.takes)


def _shapes(network: QuantizedNetwork, number: int) -> list[Shape]:
    """Of what a layer is given, and of what it gives."""
    return [*network.given_shapes(number), network.shapes[number + 1]]


def _wanted(network: QuantizedNetwork) -> list[float]:
    """The scale of what each layer gives that the first of its takers that has a wish wants it to have."""
    taking, wanted = takers(network.takes), [1.0] * len(network.layers)
    for number in reversed(range(len(network.layers))):
        wishes = ((network.layers[after], after) for after in taking[number])
        found = (_wish(network, layer, after, number, wanted[after]) for layer, after in wishes)
        wanted[number] = next((wish for wish in found if wish), 1.0)
    return wanted


def _wish(network: QuantizedNetwork, layer: Layer, number: int, source: int, scale: float) -> float | None:
    """The scale of ``source`` with which ``layer``, whose outputs have ``scale``, needs no factor."""
    place = network.takes[number].index(source)
    if isinstance(layer, MaxPool):
        return scale
    if isinstance(layer, SquaredError):
        return 1.0 / network.input.highest if SAMPLE in network.takes[number] else 1.0
    if isinstance(layer, Add | Concat):
        return abs(_factors(layer)[place]) * scale
    return None


def _factors(layer: Add | Concat) -> list[float]:
    """What each value adds to the output for each of its steps."""
    ratios = np.ldexp(layer.requantization.positive.astype(np.float64), -layer.requantization.shift)
    factors: list[float] = (ratios * layer.factors if isinstance(layer, Add) else ratios).tolist()
    return factors


def _plain(layer: Layer, given: list[tuple[float, int]], scale: float) -> PlainLayer:
    """The layer, where each value given has a scale and a zero point, and the outputs have ``scale``."""
    if isinstance(layer, MaxPool):
        return layer
    if isinstance(layer, SquaredError):
        return PlainError(given[0][0] / given[1][0], 1.0 / given[0][0] ** 2)
    if isinstance(layer, Add | Concat):
        return _joined(layer, given, scale)
    if isinstance(layer, Dense | Conv2d):
        return _real(layer, given[0][1], scale, given[0][0])
    raise TypeError(f"a {type(layer).__name__} has no form in floats")


def as_real(network: QuantizedNetwork, samples: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The levels of ``samples`` as 0..1, float32 [n, values] for a dense chain, [n, channels, rows, columns] for images."""
    flat = len(network.input_shape) == 1 or (not network.sources and isinstance(network.layers[0], Dense))
    shape = (network.input.size,) if flat else image_shape(network.input_shape)
    real = levels(network.input, samples).reshape(len(samples), *shape).astype(np.float32)
    real /= np.float32(network.input.highest)
    return real


def _joined(layer: Add | Concat, given: list[tuple[float, int]], scale: float) -> PlainAdd | PlainConcat:
    steps, activation = [scale * factor for factor in _factors(layer)], Activation(slope=layer.requantization.slope)
    factors = tuple(step / of_value for step, (of_value, _) in zip(steps, given, strict=True))
    zero_points = [zero_point for _, zero_point in given]
    if isinstance(layer, Concat):
        moved = zip(steps, layer.bias.tolist(), zero_points, strict=True)
        return PlainConcat(factors, tuple(step * (bias + zero_point) for step, bias, zero_point in moved), activation)
    ratio = np.ldexp(float(layer.requantization.positive[0]), -layer.requantization.shift)
    bias = int(layer.bias[0]) + sum(map(int, layer.factors * np.array(zero_points)))
    return PlainAdd(factors, float(scale * ratio * bias), activation)


def _real(layer: Dense | Conv2d, zero_point: int, scale: float, given: float) -> FloatDense | FloatConv2d:
    by = layer.requantization
    ratios = scale * np.ldexp(by.positive.astype(np.float64), -by.shift)
    weights = layer.weights * ratios.reshape(-1, *(1,) * (layer.weights.ndim - 1))
    bias = (layer.bias * ratios + zero_point * weights.reshape(layer.outputs, -1).sum(axis=1)).astype(np.float32)
    real, activation = (weights / given).astype(np.float32), Activation(slope=by.slope)
    if isinstance(layer, Dense):
        return FloatDense(real, bias, activation)
    return FloatConv2d(real, bias, layer.window, layer.groups, activation)
