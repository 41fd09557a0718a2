"""Float networks for the tests, and how far quantization leads from them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import MaxPool, Shape, Weighted, Window
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import Activation, FloatConv2d, FloatDense, FloatLayer, Network

RELU, LEAKY = Activation(slope=0), Activation(slope=0.125)


def layer(weights: object, bias: object, slope: float = 1.0, **more: Any) -> FloatDense:
    return FloatDense(np.asarray(weights, np.float32), np.asarray(bias, np.float32), Activation(slope), **more)


def float_network(*layers: FloatLayer, form: InputFormat | None = None, classes: int | None = None) -> Network:
    first, last = layers[0], layers[-1]
    count = classes or (len(last.bias) if isinstance(last, FloatDense) else 0)
    form = form or InputFormat((first.weights.shape[1],) if isinstance(first, FloatDense) else (8, 8))
    return Network("test", form, tuple(map(str, range(count))), layers)


def random_floats(widths: tuple[int, ...], slope: float, seed: int) -> Network:
    random = np.random.default_rng(seed)
    slopes = [slope] * (len(widths) - 2) + [1.0]
    shapes = zip(pairwise(widths), slopes, strict=True)
    layers = [layer(random.normal(0, i**-0.5, (o, i)), random.normal(0, 0.1, o), s) for (i, o), s in shapes]
    return float_network(*layers)


def convolution(shape: Shape, by: Activation, seed: int, window: Window | None = None, **more: Any) -> FloatConv2d:
    """Of weights ``shape``: [channels, input channels / groups, rows, columns]."""
    random = np.random.default_rng(seed)
    window = window or Window((shape[2], shape[3]))
    weights = random.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32)
    return FloatConv2d(weights, random.normal(0, 0.1, shape[0]).astype(np.float32), window, activation=by, **more)


def pixels(shape: Shape, count: int = 100, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


def error(network: Network, integers: QuantizedNetwork, samples: np.ndarray) -> float:
    """Of the scores, root mean square, as a share of the logits'."""
    exact, found = logits(network, samples), reference.scores(integers, samples) * integers.score_scale
    return float(np.sqrt(np.square(found - exact).mean() / np.square(exact).mean()))


def weighted(network: QuantizedNetwork) -> list[Weighted]:
    return [each for each in network.layers if not isinstance(each, MaxPool)]


def samples() -> np.ndarray:
    return np.array([[1, 2, 3, 255]], np.uint8)
