"""Rounding weights so that the errors of one make up for those of others, as far as calibration samples tell.

Weights that are rounded one by one leave errors that add up where inputs rise and fall together, as the columns of a table do.
Here they are rounded input by input, and what is lost at one is made up for at the inputs that follow, by least squares over
the samples. Source: Frantar and others, GPTQ (ICLR 2023), section 3. Inputs come in the order of their size, largest first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..network.encoding import levels
from .float_reference import forward
from .floats import Activation, FloatDense, FloatLayer, Network
from .scales import SMALLEST, largest_weight, weight_scales

MOST_INPUTS = 2_048
"""The work grows with the cube of a layer's inputs. Layers of more keep their weights."""
_LARGEST = 1e60
_HEADROOM = 1.125
"""How far a hidden range reaches beyond the highest value: other rows have higher ones."""
_DAMPING = 0.01
"""This share of the mean square of inputs is added to that of each: samples do not tell all."""

_Floats = NDArray[np.float64]


def settled(network: Network, samples: NDArray[np.uint8]) -> Network:
    """``network`` with the weights of its dense layers rounded, and the ranges of hidden values that hold all ``samples``.

    ``samples`` are uint8 [n, *shape]. The new weights are multiples of the layer's ``weight_scale``, which quantization keeps.
    Biases take up what is lost on average.
    """
    if network.sources:
        return network  # tables are given to chains
    values = levels(network.input, samples) / network.input.highest
    layers: list[FloatLayer] = []
    scale = 1 / network.input.highest
    for number, layer in enumerate(network.layers):
        with np.errstate(over="ignore", invalid="ignore"):
            given, values = values, forward(layer, values)
        if isinstance(layer, FloatDense):
            layer = _rounded(layer, given.reshape(len(given), -1), scale)
            if number + 1 < len(network.layers):
                layer = replace(layer, activation=_wide(layer.activation, values))
                scale = layer.activation.scale or scale
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def _wide(by: Activation, values: _Floats) -> Activation:
    """The scale at which no value is clipped, for a ReLU of 8 bits, and :data:`_HEADROOM` beyond."""
    highest = float(values.max()) * _HEADROOM
    usual = by.slope == 0 and by.scale is None and by.bits == 8 and not by.functions
    if not usual or not SMALLEST * 255 <= highest < np.inf:
        return by
    return replace(by, scale=highest / 255)


def _rounded(layer: FloatDense, given: _Floats, input_scale: float) -> FloatDense:
    finite = np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all() and np.abs(given).max() < _LARGEST
    if layer.weights.shape[1] > MOST_INPUTS or layer.weight_scale is not None or not finite:
        return layer  # what is not finite is refused when the network is quantized
    scales = weight_scales(layer, input_scale).astype(np.float32)
    middle = given.mean(axis=0)
    real = layer.weights / scales[:, None].astype(np.float64)
    steps = compensated(real, given - middle, largest_weight(layer.weight_bits))
    with np.errstate(over="ignore"):
        bias = (layer.bias + (real - steps) @ middle * scales).astype(np.float32)
    if not np.isfinite(bias).all():
        return layer
    return replace(layer, weights=(steps * scales[:, None]).astype(np.float32), bias=bias, weight_scale=scales)


def compensated(weights: _Floats, given: _Floats, limit: int) -> _Floats:
    """Integers within ``limit`` of 0 for ``weights``, [outputs, inputs], whose sums over ``given``, [n, inputs], stay alike.

    ``given`` has a mean of 0.
    """
    moments = given.T @ given / len(given)
    moments[np.diag_indices_from(moments)] += _DAMPING * max(float(np.diag(moments).mean()), SMALLEST)
    order = np.argsort(-np.diag(moments), kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(moments[np.ix_(order, order)])).T
    rest, steps = weights[:, order].copy(), np.zeros_like(weights)
    for place, number in enumerate(order):
        steps[:, number] = np.clip(np.rint(rest[:, place]), -limit, limit)
        lost = (rest[:, place] - steps[:, number]) / factor[place, place]
        rest[:, place + 1 :] -= np.outer(lost, factor[place, place + 1 :])
    return steps
