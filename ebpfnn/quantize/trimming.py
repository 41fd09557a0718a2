"""Making a float network lighter, before it is quantized, where that costs no accuracy: the compiler gains by both.

An input whose weights are all 0 is never looked at. Outputs that share a step share their multipliers too, and their sums
stay small: fewer flushes, and tables for what comes after them (docs/performance.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.encoding import levels
from ..network.graph import SAMPLE, takers
from .floats import FloatConv2d, FloatDense, FloatLayer, Network
from .scales import largest_weight


def trim_idle(network: Network, samples: NDArray[np.uint8], share: float) -> Network:
    """``network`` without the weights of idle inputs: those that are above level 0 in at most ``share`` of ``samples``.

    ``samples`` are uint8 [n, *shape] of pixels. Raises :class:`ModelError` where the first layer is not dense: a
    convolution's weights serve every place of an image.
    """
    first = network.layers[0]
    if not isinstance(first, FloatDense) or takers(network.takes)[SAMPLE] != (0,):
        raise ModelError(f"network '{network.name}' does not begin with a dense layer; trim no inputs")
    seen = (levels(network.input, samples) > 0).reshape(len(samples), -1).mean(axis=0)
    weights = np.where(seen <= share, np.float32(0), first.weights)
    return replace(network, layers=(replace(first, weights=weights), *network.layers[1:]))


def share_steps(network: Network) -> Network:
    """``network`` with one weight step for all outputs of a layer, but for the last: its outputs are scores anyway."""
    *hidden, last = network.layers
    return replace(network, layers=(*map(_with_one_step, hidden), last))


def _with_one_step(layer: FloatLayer) -> FloatLayer:
    if not isinstance(layer, (FloatDense, FloatConv2d)):
        return layer
    step = np.abs(layer.weights).max() / np.float32(largest_weight(layer.weight_bits))
    return replace(layer, weight_scale=np.full(len(layer.weights), step, np.float32))
