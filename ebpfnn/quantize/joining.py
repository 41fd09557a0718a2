"""Layers that join the values of several, in integers: what scale they share (equation 27)."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np
from numpy.typing import NDArray

from ..network.graph import SAMPLE, takers
from ..network.joins import MOST_FACTOR
from ..network.layers import Add, Concat, MaxPool, Requantization, expect
from .floats import Activation, AvgPool, FloatAdd, FloatConcat, FloatConv2d, FloatDense, FloatJoin, FloatSquaredError, Network
from .scales import SMALLEST, Range

Steps = Callable[[NDArray[np.float64], float, Range], Requantization]


def never_negative(network: Network) -> dict[int, bool]:
    """Whether nothing below 0 can come from each layer, by its number, and from the sample."""
    found = {SAMPLE: True}
    for number, (layer, sources) in enumerate(zip(network.layers, network.takes, strict=True)):
        before = all(found[source] for source in sources)
        if isinstance(layer, MaxPool | AvgPool | FloatSquaredError):
            found[number] = before
        else:
            by = layer.activation
            before = before and min(layer.factors if isinstance(layer, FloatAdd) else (0.0,)) >= 0
            found[number] = not by.functions and (by.slope == 0 or by.low >= 0 or (isinstance(layer, FloatJoin) and before))
    return found


def shared(network: Network) -> dict[int, int]:
    """The layers whose outputs get the scale of the channels that they become a part of: the number of that layer by theirs."""
    by_whom, found = takers(network.takes), {}
    for number, layer in enumerate(network.layers):
        if not isinstance(layer, FloatDense | FloatConv2d) or layer.activation.functions:
            continue
        free = layer.activation.scale is None and layer.activation.bits == 8
        if free and len(by_whom[number]) == 1:
            (taker,) = by_whom[number]
            join = network.layers[taker]
            if isinstance(join, FloatConcat) and join.activation == Activation():
                found[number] = taker
    return found


def factors(given: list[Range], real: tuple[float, float] = (1.0, 1.0)) -> tuple[NDArray[np.int32], NDArray[np.int32], float]:
    """Equation 27: the factors and the bias of a sum of values times ``real``, and what one of its steps is worth."""
    scales = np.array([each.scale for each in given]) * np.array(real)
    unit = float(np.abs(scales).max()) / MOST_FACTOR
    expect(SMALLEST <= unit < inf, f"adds values times {real[0]:g} and {real[1]:g}, of which no step is left; scale them")
    found = np.rint(scales / unit).astype(np.int64)
    bias = -sum(int(factor) * each.zero_point for factor, each in zip(found, given, strict=True))
    return found.astype(np.int32), np.array([bias], np.int32), unit


def quantized(layer: FloatJoin, given: list[Range], steps: Steps, found: Range) -> Add | Concat:
    """The integers of ``layer`` for values in ``given``, whose outputs are in ``found``."""
    by = layer.activation
    if isinstance(layer, FloatAdd):
        weights, bias, unit = factors(given, layer.factors)
        return Add(weights, bias, steps(np.array([unit]), by.slope, found))
    units = np.array([each.scale for each in given])
    return Concat(np.array([-each.zero_point for each in given], np.int32), steps(units, by.slope, found))
