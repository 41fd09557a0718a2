"""Random networks of every kind of layer, from a seed.

Layers are made one after the other, each with an eye on what those before it give for some samples: a layer that makes one
number of all of them would hide whatever is wrong before it.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from ebpfnn import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Conv2d, Dense, Layer, MaxPool, Requantization, Window

from . import arithmetic
from .formats import Random, input_format, pick
from .parameters import bias, requantization, weights

_MOST_CLASSES, _MOST_VALUES, _MOST_MACS, _SELDOM_MACS = 64, 5000, 60_000, 1_000_000


def network(seed: int) -> QuantizedNetwork:
    """The same for the same seed."""
    random = np.random.default_rng(seed)
    most = _SELDOM_MACS if np.random.default_rng([seed, 2]).random() < 0.1 else _MOST_MACS
    while True:
        form = input_format(random)
        made = _Made(form, random)
        made.grow()
        labels = tuple(map(str, range(prod(made.shape))))
        found = QuantizedNetwork(f"oracle-{seed}", form, labels, tuple(made.layers), density=made.density())
        if found.macs <= most and (made.tells_samples_apart() or random.random() < 0.05):
            return found


class _Made:
    """Layers so far, and ``values``, int64 [n, *shape] in ``low..high``: what they give for samples, dense and sparse."""

    def __init__(self, form: InputFormat, random: Random) -> None:
        self.random, self.low, self.high = random, 0, form.highest
        self.layers: list[Layer] = []
        pixels = random.integers(0, 256, (12, form.size)) * (random.random((12, 1)) > random.random((12, form.size)))
        self.values = arithmetic.levels(form, pixels.astype(np.uint8)).reshape(12, *form.shape)
        self.given = self.values
        self.shares: list[float] = []

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape[1:]

    def grow(self) -> None:
        """Up to three hidden layers, and a last one, which is a convolution as often as it can be one."""
        for _ in range(pick(self.random, [0, 1, 1, 2, 2, 3])):
            layer = self._hidden()
            if prod(layer.output_shape(self.shape)) <= _MOST_VALUES:
                self._add(layer, last=False)
        self._add(self._last(), last=True)

    def tells_samples_apart(self) -> bool:
        return _distinct(self.values) >= min(5, _distinct(self.given))

    def density(self) -> tuple[float, ...]:
        """Unknown, low, high, measured, or of each layer another: it says which code is quick, not which is right."""
        if self.random.random() < 0.2:
            return ()
        anything = self.random.random(len(self.shares)).tolist()
        fixed = [[share] * len(self.shares) for share in (0.05, 0.05, 0.3, 0.95)]
        return tuple(pick(self.random, [self.shares, anything, *fixed]))

    def _add(self, layer: Layer, *, last: bool) -> None:
        self.shares.append(float((self.values != 0).mean()))
        if isinstance(layer, MaxPool):
            self.values = arithmetic.max_pool(layer, self.values)
        else:
            accumulate = arithmetic.sums(layer)
            found = bias(layer.weights, max(abs(self.low), abs(self.high)), accumulate(layer, self.values), self.random)
            layer = replace(layer, bias=found)
            accumulators = accumulate(layer, self.values)
            layer = replace(layer, requantization=requantization(accumulators, last, self.random))
            self.low, self.high = layer.requantization.low, layer.requantization.high
            self.values = arithmetic.requantize(layer.requantization, accumulators)
        self.layers.append(layer)

    def _hidden(self) -> Layer:
        kind, behind_conv = self.random.random(), bool(self.layers) and isinstance(self.layers[-1], Conv2d)
        if len(self.shape) > 1 and kind < (0.5 if behind_conv else 0.25):
            return MaxPool(self._window())
        if len(self.shape) > 1 and kind < 0.8:
            return self._conv()
        return self._dense(pick(self.random, [1, 3, 8, 33, *self.random.integers(1, 24, 3).tolist(), 100, 150]))

    def _last(self) -> Layer:
        """The scores' layer: at most 64 of them."""
        for _ in range(20):
            if len(self.shape) == 1 or self.random.random() < 0.15:
                break
            layer = self._conv()
            if prod(layer.output_shape(self.shape)) <= _MOST_CLASSES:
                return layer
        return self._dense(pick(self.random, [1, 2, 5, 10, 64, int(self.random.integers(1, 30))]))

    def _dense(self, outputs: int) -> Dense:
        return Dense(weights((outputs, prod(self.shape)), self.random), *_nothing_yet(outputs))

    def _conv(self) -> Conv2d:
        random, channels = self.random, (1, *self.shape)[-3]
        groups = pick(random, [1, 1, channels, pick(random, [g for g in range(1, channels + 1) if channels % g == 0])])
        outputs = groups * pick(random, [1, 1, 2, 3] if groups > 1 else [1, 2, 3, 5, 8, int(random.integers(1, 33))])
        window = self._window()
        made = weights((outputs, channels // groups, *window.kernel), random)
        pad_value = self._pad_value() if any(window.padding) else 0
        return Conv2d(made, *_nothing_yet(outputs), window, groups, pad_value)

    def _pad_value(self) -> int:
        low, high = self.low, self.high
        return pick(self.random, [low, high, max(low, min(0, high)), int(self.random.integers(low, high + 1))])

    def _window(self) -> Window:
        """One that fits: up to the whole image, with an edge on any side or on none."""
        random, sides = self.random, self.shape[-2:]
        whole, edged = random.random() < 0.1, random.random() < 0.5
        rows, columns = (side if whole else int(random.integers(1, min(side, 9) + 1)) for side in sides)
        top, left, bottom, right = (int(random.integers(size)) if edged else 0 for size in (rows, columns, rows, columns))
        strides = [1, 1, 2, 3]
        return Window((rows, columns), (pick(random, strides), pick(random, strides)), (top, left, bottom, right))


def _distinct(values: arithmetic.Integers) -> int:
    return len(np.unique(values.reshape(len(values), -1), axis=0))


def _nothing_yet(outputs: int) -> tuple[NDArray[np.int32], Requantization]:
    """A bias and a requantization to be replaced."""
    zero = np.zeros(outputs, np.int32)
    return zero, Requantization(zero, zero, 1, 0, 1)
