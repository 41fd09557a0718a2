"""Random networks of every kind of layer, and cascades of them, from a seed.

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
from ebpfnn.network.layers import Conv2d, Dense, Layer, MaxPool, Requantization, Table, Window
from ebpfnn.network.network import Next

from . import activationtables, arithmetic, corners, tablelayers
from .formats import Random, input_format, of_bytes, ordered, pick, same_samples
from .parameters import bias, requantization, weights

_INT32 = 2**31 - 1
_MOST_CLASSES, _MOST_VALUES, _MOST_MACS, _SELDOM_MACS = 64, 5000, 60_000, 1_000_000


def network(seed: int) -> QuantizedNetwork:
    """The same for the same seed: some 30 % have layers of tables, and some 15 % are cascades."""
    also = np.random.default_rng([seed, 3])
    first = _network(seed, np.random.default_rng(seed), also)
    cascade = len(first.labels) > 1 and also.random() < 0.17
    return _cascade(first, seed, also) if cascade else first


def _network(seed: int, random: Random, also: Random) -> QuantizedNetwork:
    most = _SELDOM_MACS if np.random.default_rng([seed, 2]).random() < 0.1 else _MOST_MACS
    tabled = _tabled(also)
    while True:
        form = input_format(random)
        form = ordered(of_bytes(form, also) if tabled else form, also)
        made = Made(form, random, tabled)
        separable = len(form.shape) > 1 and not tabled and np.random.default_rng([seed, 17]).random() < 0.15
        made.grow_separably() if separable else made.grow()
        found = made.network(f"oracle-{seed}")
        if found.macs <= most and (made.tells_samples_apart() or random.random() < 0.05):
            return found


def _tabled(random: Random) -> float:
    """How likely a layer is one of tables: mostly not at all."""
    return pick(random, [0.4, 0.7, 1, 1]) if random.random() < 0.3 else 0


def _cascade(first: QuantizedNetwork, seed: int, random: Random, stages: int = 3) -> QuantizedNetwork:
    """``first``, and up to ``stages`` of other kinds behind it, of the same labels and samples."""
    while True:
        form = first.input if first.input.packed else same_samples(first.input, random)
        made = Made(form, random, _tabled(random) or pick(random, [0, 0.7]))
        made.grow(len(first.labels))
        following = made.network(f"oracle-{seed}-next")
        if following.macs <= _MOST_MACS:
            break
    if stages > 1 and random.random() < 0.4:
        following = _cascade(following, seed, random, stages - 1)
    return replace(first, then=Next(following, _margin(first, seed, random), pick(random, [0.0, 1.0, float(random.random())])))


def _margin(first: QuantizedNetwork, seed: int, random: Random) -> int:
    """The least, the largest, or one at which a sample's lead lies: exactly, one more, or about."""
    leads = [arithmetic.lead(each) for each in arithmetic.own_scores(first, corners.judged(first.input, seed)).tolist()]
    lead = pick(random, sorted(leads))
    about = int(lead * random.uniform(0.5, 2))
    return max(1, min(_INT32, pick(random, [1, lead, lead, lead, lead + 1, about, about, _INT32])))


class Made:
    """Layers so far, and ``values``, int64 [n, *shape] in ``low..high``: what they give for samples, dense and sparse."""

    def __init__(self, form: InputFormat, random: Random, tabled: float = 0) -> None:
        self.form, self.random, self.tabled, self.low, self.high = form, random, tabled, 0, form.highest
        self.layers: list[Layer] = []
        pixels = random.integers(0, 256, (12, form.size)) * (random.random((12, 1)) > random.random((12, form.size)))
        self.values = arithmetic.levels(form, pixels.astype(np.uint8)).reshape(12, *form.shape)
        self.given = self.values
        self.shares: list[float] = []

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape[1:]

    def network(self, name: str) -> QuantizedNetwork:
        labels = tuple(map(str, range(prod(self.shape))))
        return QuantizedNetwork(name, self.form, labels, tuple(self.layers), density=self.density())

    def grow(self, classes: int | None = None) -> None:
        """Up to three hidden layers, and a last one: of ``classes``, or a convolution as often as it can be one."""
        for _ in range(pick(self.random, [0, 1, 1, 2, 2, 3])):
            layer = self.hidden()
            if prod(layer.output_shape(self.shape)) <= _MOST_VALUES:
                self.add(layer, last=False)
        self.add(self.last() if classes is None else self._last_of(classes), last=True)

    def grow_separably(self) -> None:
        """As networks for small machines: a window that halves the image, then depthwise and pointwise layers."""
        random, outputs = self.random, int(self.random.integers(2, 21))
        self.add(self._separable(pick(random, [(10, 4), (3, 3), (5, 5)]), 2, outputs), last=False)
        for _ in range(pick(random, [1, 1, 2])):
            channels = self.shape[0]
            self.add(self._separable((3, 3), pick(random, [1, 1, 2]), channels, channels), last=False)
            self.add(self._separable((1, 1), 1, pick(random, [3, 19, 24, 40])), last=False)
        channels = self.shape[0]
        whole = Window(self.shape[-2:])
        self.add(Conv2d(weights((channels, 1, *whole.kernel), random), *nothing_yet(channels), whole, channels), last=False)
        self.add(self._dense(pick(random, [2, 12])), last=True)

    def _separable(self, kernel: tuple[int, int], stride: int, outputs: int, groups: int = 1) -> Conv2d:
        """A convolution with as many outputs as inputs, or half: edges are larger at the bottom and at the right."""
        edges = [
            max(0, (-(-side // stride) - 1) * stride + size - side) for side, size in zip(self.shape[-2:], kernel, strict=True)
        ]
        window = Window(kernel, (stride, stride), (edges[0] // 2, edges[1] // 2, -(-edges[0] // 2), -(-edges[1] // 2)))
        made = weights((outputs, (1, *self.shape)[-3] // groups, *kernel), self.random)
        return Conv2d(made, *nothing_yet(outputs), window, groups, self.pad_value() if any(window.padding) else 0)

    def tells_samples_apart(self) -> bool:
        return _distinct(self.values) >= min(5, _distinct(self.given))

    def density(self) -> tuple[float, ...]:
        """Unknown, low, high, measured, or of each layer another: it says which code is quick, not which is right."""
        if self.random.random() < 0.2:
            return ()
        anything = self.random.random(len(self.shares)).tolist()
        fixed = [[share] * len(self.shares) for share in (0.05, 0.05, 0.3, 0.95)]
        return tuple(pick(self.random, [self.shares, anything, *fixed]))

    def add(self, layer: Layer, *, last: bool) -> None:
        self.shares.append(float((self.values != 0).mean()))
        if isinstance(layer, MaxPool):
            self.values = arithmetic.max_pool(layer, self.values)
        elif isinstance(layer, Table):
            by = layer.requantization
            self.values = arithmetic.activate(by, arithmetic.sums(layer)(layer, self.values))
            self.low, self.high = by.low, by.high
        else:
            accumulate = arithmetic.sums(layer)
            found = bias(layer.weights, max(abs(self.low), abs(self.high)), accumulate(layer, self.values), self.random)
            layer = replace(layer, bias=found)
            accumulators = accumulate(layer, self.values)
            by = activationtables.tabled(requantization(accumulators, last, self.random), last)
            layer = replace(layer, requantization=by)
            self.low, self.high = activationtables.ends(by)
            self.values = arithmetic.requantize(layer.requantization, accumulators)
        self.layers.append(layer)

    def hidden(self) -> Layer:
        if self._takes_table():
            wide = [56, 64, 64, 70] if not self.layers and self.form.packed and self.form.bits == 1 else []
            return self._table(pick(self.random, [1, 7, 8, 9, 16, 17, 32, 64, 70, int(self.random.integers(1, 71)), *wide]))
        kind, behind_conv = self.random.random(), bool(self.layers) and isinstance(self.layers[-1], Conv2d)
        if len(self.shape) > 1 and kind < (0.5 if behind_conv else 0.25):
            return MaxPool(self._window())
        if len(self.shape) > 1 and kind < 0.8:
            return self._conv()
        return self._dense(pick(self.random, [1, 3, 8, 33, *self.random.integers(1, 24, 3).tolist(), 100, 150]))

    def last(self) -> Layer:
        """The scores' layer: at most 64 of them."""
        if self._takes_table():
            return self._table(pick(self.random, [1, 2, 5, 10, 10, 64, int(self.random.integers(1, 65))]), last=True)
        for _ in range(20):
            if len(self.shape) == 1 or self.random.random() < 0.15:
                break
            layer = self._conv()
            if prod(layer.output_shape(self.shape)) <= _MOST_CLASSES:
                return layer
        return self._dense(pick(self.random, [1, 2, 5, 10, 64, int(self.random.integers(1, 30))]))

    def _last_of(self, classes: int) -> Layer:
        if self._takes_table():
            layer = self._table(classes, last=True)
            if layer.outputs == classes:
                return layer
        if len(self.shape) > 1 and self.random.random() < 0.4:
            shape = (1, *self.shape)[-3:]
            return Conv2d(weights((classes, *shape), self.random), *nothing_yet(classes), Window(self.shape[-2:]))
        return self._dense(classes)

    def _takes_table(self) -> bool:
        """Without a draw where none is asked for, so that networks without tables stay what they are."""
        return self.tabled > 0 and bool(self.random.random() < self.tabled)

    def _table(self, outputs: int, last: bool = False) -> Table:
        return tablelayers.table(self.values, (self.low, self.high), self.form, outputs, last, self.random)

    def _dense(self, outputs: int) -> Dense:
        return Dense(weights((outputs, prod(self.shape)), self.random), *nothing_yet(outputs))

    def _conv(self) -> Conv2d:
        random, channels = self.random, (1, *self.shape)[-3]
        groups = pick(random, [1, 1, channels, pick(random, [g for g in range(1, channels + 1) if channels % g == 0])])
        outputs = groups * pick(random, [1, 1, 2, 3] if groups > 1 else [1, 2, 3, 5, 8, int(random.integers(1, 33))])
        window = self._window()
        made = weights((outputs, channels // groups, *window.kernel), random)
        pad_value = self.pad_value() if any(window.padding) else 0
        return Conv2d(made, *nothing_yet(outputs), window, groups, pad_value)

    def pad_value(self) -> int:
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


def nothing_yet(outputs: int) -> tuple[NDArray[np.int32], Requantization]:
    """A bias and a requantization to be replaced."""
    zero = np.zeros(outputs, np.int32)
    return zero, Requantization(zero, zero, 1, 0, 1)
