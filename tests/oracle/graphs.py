"""Random networks whose layers are a graph: values that several layers take, sums of two, and channels side by side."""

from __future__ import annotations

from math import prod

import numpy as np

from ebpfnn import QuantizedNetwork
from ebpfnn.network.layers import Add, Concat, Conv2d, Dense, Requantization, SquaredError, Window

from . import arithmetic, generate
from .arithmetic import Integers
from .formats import Random, input_format, pick
from .parameters import requantization, weights

_INT32 = 2**31 - 1
_MOST_VALUES, _MOST_MACS, _MOST_JOINED = 1500, 60_000, 8
_RANGES = [(0, 255), (-128, 127), (0, 127), (0, 15), (-7, 7)]


def drawn(seed: int) -> QuantizedNetwork:
    """A graph for every fifth seed from 100 on, else what :mod:`.generate` makes of it."""
    return network(seed) if seed >= 100 and seed % 5 == 4 else generate.network(seed)


def network(seed: int) -> QuantizedNetwork:
    """The same for the same seed; at least one of its layers joins others."""
    random = np.random.default_rng([seed, 5])
    while True:
        form = input_format(random)
        if len(form.shape) == 1 and random.random() < 0.6:
            continue
        grown = _Grown(generate.Made(form, random), random, compares=seed % 7 == 3)
        found = grown.network(f"graph-{seed}")
        if found.macs <= _MOST_MACS and (grown.made.tells_samples_apart() or random.random() < 0.05):
            return found


class _Grown:
    """``given`` has the values, and their ends, of the sample and of each layer; the number of a layer is one less."""

    def __init__(self, made: generate.Made, random: Random, *, compares: bool) -> None:
        self.made, self.random, self.compares = made, random, compares
        self.given: list[tuple[Integers, int, int]] = [(made.values, made.low, made.high)]
        self.sources: list[tuple[int, ...]] = []

    def network(self, name: str) -> QuantizedNetwork:
        for _ in range(pick(self.random, [1, 1, 2, 3, 4])):
            self._layer()
            if self.random.random() < 0.6:
                pick(self.random, [self._sum, self._sum, self._channels])()
        self._join_unused()
        self._last()
        labels = tuple(map(str, range(prod(self.made.shape))))
        return QuantizedNetwork(
            name,
            self.made.form,
            labels,
            tuple(self.made.layers),
            density=self.made.density(),
            result="anomaly" if self.compares else "label",
            sources=tuple(self.sources),
        )

    def _go_to(self, number: int) -> None:
        self.made.values, self.made.low, self.made.high = self.given[number + 1]

    def _done(self, *sources: int) -> None:
        self.sources.append(sources)
        self.given.append((self.made.values, self.made.low, self.made.high))

    def _some(self) -> int:
        """Mostly one of the last values, at times the sample."""
        newest = len(self.sources) - 1
        return pick(self.random, [newest, newest, max(-1, newest - 1), int(self.random.integers(-1, newest + 1))])

    def _layer(self) -> None:
        """At times two of them, which take the same value."""
        source = self._some()
        self._of(source)
        if self.random.random() < 0.4:
            self._of(source)

    def _of(self, source: int) -> None:
        self._go_to(source)
        layer = self.made.hidden()
        if prod(layer.output_shape(self.made.shape)) <= _MOST_VALUES:
            self.made.add(layer, last=False)
            self._done(source)

    def _sum(self) -> None:
        """Of two values of one size; where there are none, a layer makes a second one, or a value is added to itself."""
        one = self._some()
        same = [n for n in range(-1, len(self.sources)) if self._addable(one, n)]
        others = [n for n in same if n != one]
        if not others and self.random.random() < 0.8 and self._twin_of(one):
            others = [len(self.sources) - 1]
        other = pick(self.random, others or [one])
        pair = pick(self.random, [(one, other), (other, one)])
        self._add(pair, last=False)

    def _addable(self, one: int, other: int) -> bool:
        shapes = [self.given[n + 1][0].shape[1:] for n in (one, other)]
        images = {(1, *shape)[-3:] for shape in shapes if len(shape) > 1}
        return prod(shapes[0]) == prod(shapes[1]) and len(images) < 2

    def _twin_of(self, number: int) -> bool:
        """A layer of another value that gives as many as layer ``number``."""
        wanted = self.given[number + 1][0].shape[1:]
        self._go_to(source := self._some())
        shape = self.made.shape
        if len(wanted) == 3 and len(shape) > 1 and shape[-2:] == wanted[-2:]:
            window = pick(
                self.random, [Window((1, 1)), Window((3, 3), padding=(1, 1, 1, 1)), Window((2, 2), padding=(0, 1, 1, 0))]
            )
            made = weights((wanted[0], (1, *shape)[-3], *window.kernel), self.random)
            pad = self.made.pad_value() if any(window.padding) else 0
            self.made.add(Conv2d(made, *generate.nothing_yet(wanted[0]), window, 1, pad), last=False)
        elif prod(wanted) * prod(shape) <= _MOST_MACS // 2:
            self.made.add(
                Dense(weights((prod(wanted), prod(shape)), self.random), *generate.nothing_yet(prod(wanted))), last=False
            )
        else:
            return False
        self._done(source)
        return True

    def _add(self, pair: tuple[int, int], *, last: bool) -> None:
        random, (one, other) = self.random, (self.given[n + 1] for n in pair)
        ends = [max(abs(low), abs(high)) for _, low, high in (one, other)]
        factors = _factors(ends, random)
        room = _INT32 - sum(abs(factor) * end for factor, end in zip(factors, ends, strict=True))
        size = int(np.abs(factors[0] * one[0]).mean()) + 1
        bias = pick(random, [0, 0, int(random.integers(-size, size + 1)), pick(random, [-room, room])])
        nothing = Requantization(np.zeros(1, np.int32), np.zeros(1, np.int32), 1, 0, 1)
        layer = Add(np.array(factors, np.int32), np.array([max(-room, min(room, bias))], np.int32), nothing)
        sums = arithmetic.add(layer, [one[0], other[0]])
        layer = Add(layer.factors, layer.bias, requantization(sums.reshape(len(sums), 1, -1), last, random))
        self._append(layer, pair)

    def _channels(self) -> None:
        count = pick(self.random, [2, 2, 3, int(self.random.integers(2, _MOST_JOINED + 1))])
        one = self._some()
        near = [n for n in range(-1, len(self.sources)) if self.given[n + 1][0].shape[-2:] == self.given[one + 1][0].shape[-2:]]
        chosen = [pick(self.random, near if self.random.random() < 0.8 else range(-1, len(self.sources))) for _ in range(count)]
        if sum(prod(self.given[n + 1][0].shape[1:]) for n in chosen) <= _MOST_VALUES:
            self._concat(tuple(chosen))

    def _concat(self, chosen: tuple[int, ...]) -> None:
        random, given = self.random, [self.given[n + 1] for n in chosen]
        bias = [pick(random, [0, 0, -low, int(random.integers(-255, 256))]) for _, low, _ in given]
        if random.random() < 0.04:
            bias[0] = pick(random, [-1, 1]) * (_INT32 - max(abs(given[0][1]), abs(given[0][2])))
        seen = np.stack([random.choice(values.reshape(len(values), -1), 50, axis=1) for values, _, _ in given], axis=1)
        by = requantization(seen + np.array(bias)[:, None], False, random)
        low, high = min(low for _, low, _ in given), max(high for _, _, high in given)
        if random.random() < 0.5 and (low >= 0 or high < 128):
            shift = int(random.integers(1, 31))
            one = np.full(len(chosen), 1 << shift, np.int32)
            kept = np.array([random.random() < 0.8 for _ in chosen])
            bias = [0 if keep else each for keep, each in zip(kept, bias, strict=True)]
            other = np.minimum(_INT32, (one * random.uniform(0.3, 1.9, len(chosen)))).astype(np.int32)
            multipliers = np.where(kept, one, other).astype(np.int32)
            by = Requantization(multipliers, multipliers, shift, *((0, 255) if low >= 0 else (-128, 127)))
        self._append(Concat(np.array(bias, np.int32), by), chosen)

    def _append(self, layer: Add | Concat, sources: tuple[int, ...]) -> None:
        given = [self.given[n + 1][0] for n in sources]
        total = sum(values.size for values in given)
        self.made.shares.append(sum(int((values != 0).sum()) for values in given) / total)
        self.made.values = arithmetic.join(layer, given)
        self.made.low, self.made.high = layer.requantization.low, layer.requantization.high
        self.made.layers.append(layer)
        self._done(*sources)

    def _unused(self) -> list[int]:
        used = {source for sources in self.sources for source in sources}
        return [n for n in range(len(self.sources)) if n not in used]

    def _join_unused(self) -> None:
        """Until one value is left that no layer takes, and a layer joins."""
        while len(unused := self._unused()) > 1 or not any(isinstance(layer, Add | Concat) for layer in self.made.layers):
            if len(unused) == 2 and self._addable(*unused) and self.random.random() < 0.7:
                self._add((unused[0], unused[1]), last=False)
            elif len(unused) > 1:
                self._concat(tuple(unused[:_MOST_JOINED]))
            else:
                self._concat((*(unused or [-1]), self._some()))

    def _last(self) -> None:
        """Mostly a layer with weights, at times a sum of two of them, or the error of one."""
        self._go_to(source := len(self.sources) - 1)
        if self.compares:
            self._error(source)
            return
        if self.random.random() < 0.2:
            outputs = pick(self.random, [1, 2, 10, 33])
            for _ in range(2):
                self._go_to(source)
                made = weights((outputs, prod(self.made.shape)), self.random)
                self.made.add(Dense(made, *generate.nothing_yet(outputs)), last=False)
                self._done(source)
            self._add((len(self.sources) - 2, len(self.sources) - 1), last=True)
            return
        self.made.add(self.made.last(), last=True)
        self._done(source)

    def _error(self, source: int) -> None:
        """Mostly between the sample and as many values, else between two other values, or of a value that is given twice."""
        random, size = self.random, self.made.form.size
        if size * prod(self.made.shape) > _MOST_MACS // 2 or random.random() < 0.3:
            same = [n for n in range(source) if self._addable(source, n)]
            self._compare(pick(random, [(source, n) for n in same] or [(source, source)]))
            return
        made = weights((size, prod(self.made.shape)), random)
        self.made.add(Dense(made, *generate.nothing_yet(size)), last=False)
        self._done(source)
        self._compare(pick(random, [(len(self.sources) - 1, -1), (-1, len(self.sources) - 1)]))

    def _compare(self, pair: tuple[int, int]) -> None:
        given = [self.given[n + 1][0] for n in pair]
        self.made.shares.append(sum(int((values != 0).sum()) for values in given) / sum(values.size for values in given))
        self.made.values = arithmetic.squared_error(*given)
        self.made.layers.append(SquaredError())
        self._done(*pair)


def _factors(ends: list[int], random: Random) -> list[int]:
    """Of two scales, alike or far apart, of either sign, none at all, or as large as (24) allows."""
    most = _INT32 // max(1, sum(ends))
    coarse = pick(random, [1, 255, 1 << 21, 1 << 21, int(random.integers(1, most + 1))])
    fine = int(coarse * pick(random, [1.0, float(random.uniform(0, 1)), 1e-3]))
    factors = [min(most, coarse) * pick(random, [1, 1, 1, -1]), min(most, fine) * pick(random, [1, 1, 1, -1])]
    if random.random() < 0.06:
        factors = [pick(random, [0, most, -most]) for _ in range(2)]
    return pick(random, [factors, factors[::-1]])
