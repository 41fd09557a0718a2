"""Random formats of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ebpfnn.network.inputformat import MOST_OWN, InputFormat

Random = np.random.Generator
_T = TypeVar("_T")


def pick(random: Random, given: Sequence[_T]) -> _T:
    return given[int(random.integers(len(given)))]


def input_format(random: Random) -> InputFormat:
    bits = pick(random, [8, 8, 4, 2, 1])
    packed = bits < 8 and random.random() < 0.6
    own = bits < 8 and random.random() < 0.4
    shape = _flat(random) if own else _shape(random)
    found = InputFormat(shape, bits, _thresholds(bits, random), packed, pick(random, ["big", "little"]))
    return _with_own(found, random) if own else found


def ordered(form: InputFormat, random: Random) -> InputFormat:
    """The same, if packed often in an order: any, backward, turned, or tile by tile."""
    if not form.packed or random.random() < 0.5:
        return form
    natural = np.arange(form.size)
    step = int(random.integers(1, 9))
    tiled = np.concatenate([natural[first::step] for first in range(step)])
    orders = [random.permutation(natural), natural[::-1], np.roll(natural, 1), tiled, natural]
    return replace(form, order=tuple(pick(random, orders).tolist()))


def of_bytes(form: InputFormat, random: Random) -> InputFormat:
    """Samples of one bit a value, packed as groups of tables are: each byte is the number of a row."""
    if random.random() < 0.6:
        return form
    return replace(form, bits=1, thresholds=(128,), value_thresholds=(), packed=True, bit_order="big")


def same_samples(form: InputFormat, random: Random) -> InputFormat:
    """Another format of samples of the same shape, neither of them packed; mostly with own thresholds behind such."""
    before = bool(form.value_thresholds)
    bits = pick(random, [4, 2, 1] if before else [8, 4, 2, 1])
    found = replace(form, bits=bits, thresholds=_thresholds(bits, random), value_thresholds=())
    may = bits < 8 and len(form.shape) == 1 and form.size <= MOST_OWN
    return _with_own(found, random) if may and random.random() < (0.8 if before else 0.3) else found


def _with_own(form: InputFormat, random: Random) -> InputFormat:
    """The same with thresholds of each value's own: anywhere, or with those of all, at an end, equal ones, or none reached."""
    count = form.highest

    def some() -> tuple[int, ...]:
        anywhere = random.integers(1, 257, count).tolist()
        few = random.choice(random.integers(1, 257, 2), count).tolist()
        at_ends = random.choice([1, 2, 255, 256], count).tolist()
        return tuple(sorted(pick(random, [anywhere, anywhere, few, at_ends, [1] * count, [256] * count, form.thresholds])))

    return replace(form, thresholds=(), value_thresholds=tuple(some() for _ in range(form.size)))


def _shape(random: Random) -> tuple[int, ...]:
    """Flat, an image of one channel or of several; often one value wide or at most 8, where code is another."""
    kind = random.random()
    if kind < 0.3:
        return _flat(random)
    rows, columns = _side(random), _side(random)
    if kind < 0.6:
        return (rows, columns)
    return (pick(random, [1, 1, 2, 3, 4, 16]), rows, columns)


def _flat(random: Random) -> tuple[int, ...]:
    anywhere = [int(random.integers(1, 400)), int(random.integers(200, 600))]
    return (pick(random, [1, 2, 7, 8, 9, 31, 64, 65, 130, 784, *anywhere]),)


def _side(random: Random) -> int:
    return pick(
        random,
        [1, 3, 4, 8, *random.integers(1, 9, 3).tolist(), *random.integers(9, 22, 2).tolist(), int(random.integers(22, 70))],
    )


def _thresholds(bits: int, random: Random) -> tuple[int, ...]:
    """None for 8 bits; evenly spread, at random, or as low or as high as can be."""
    count = 0 if bits == 8 else 2**bits - 1
    step = 256 // (count + 1)
    apart = int(random.integers(256 // (count + 2), 256 // max(1, count) + 1))
    apart = step if apart % 2 else apart
    first = int(random.integers(1, max(2, min(apart, 256 - apart * (count - 1)) + 1)))
    regular = [first + k * apart for k in range(count)]
    even = [step * (k + 1) for k in range(count)]
    shifted = [1 + k * max(1, step // 2) for k in range(count)]
    anywhere = sorted(random.choice(np.arange(1, 256), count, replace=False).tolist())
    return tuple(
        pick(random, [even, regular, regular, shifted, anywhere, list(range(1, count + 1)), list(range(256 - count, 256))])
    )
