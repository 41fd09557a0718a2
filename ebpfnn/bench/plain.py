"""A quantized network as plain float32 layers: what numpy, PyTorch and onnxruntime are given to compute."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..network import QuantizedNetwork
from ..network.encoding import levels
from ..network.layers import Dense, Join, MaxPool, SquaredError, Table, Weighted, image_shape
from ..quantize.floats import Activation, FloatConv2d, FloatDense

PlainLayer = FloatDense | FloatConv2d | MaxPool


def as_floats(network: QuantizedNetwork) -> tuple[PlainLayer, ...]:
    """The layers without rounding and clipping, so that nobody computes what floats can do without.

    Values between them are worth what the integers are, less their zero points, which go into the bias of the next layer.

    Raises :class:`NotSupported` for layers of tables, for graphs and for cascades.
    """
    if network.then:
        raise NotSupported(f"'{network.name}' is a cascade")
    layers: list[PlainLayer] = []
    zero_point, scale = 0, float(network.input.highest)
    for layer in network.layers:
        if isinstance(layer, MaxPool):
            layers.append(layer)
            continue
        if network.sources or isinstance(layer, Join | SquaredError):
            raise NotSupported(f"'{network.name}' is no chain of layers")
        if isinstance(layer, Table):
            raise NotSupported(f"'{network.name}' has layers of tables, which are no sums of products")
        if layer.requantization.function:
            raise NotSupported(f"'{network.name}' has activations that are no ReLU")
        layers.append(_real(layer, zero_point, scale))
        zero_point, scale = layer.requantization.zero_point, 1.0
    return tuple(layers)


def as_real(network: QuantizedNetwork, samples: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The levels of ``samples`` as 0..1, float32 [n, values] for a dense layer, [n, channels, rows, columns] for an image's."""
    shape = (network.input.size,) if isinstance(network.layers[0], Dense) else image_shape(network.input_shape)
    real = levels(network.input, samples).reshape(len(samples), *shape).astype(np.float32)
    real /= np.float32(network.input.highest)
    return real


def _real(layer: Weighted, zero_point: int, scale: float) -> FloatDense | FloatConv2d:
    by = layer.requantization
    ratios = np.ldexp(by.positive.astype(np.float64), -by.shift)
    weights = layer.weights * ratios.reshape(-1, *(1,) * (layer.weights.ndim - 1))
    bias = (layer.bias * ratios + zero_point * weights.reshape(layer.outputs, -1).sum(axis=1)).astype(np.float32)
    real, activation = (weights * scale).astype(np.float32), Activation(slope=by.slope)
    if isinstance(layer, Dense):
        return FloatDense(real, bias, activation)
    return FloatConv2d(real, bias, layer.window, layer.groups, activation)
