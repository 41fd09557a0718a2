"""Random weights, biases, multipliers and ranges, with an eye on the ends of what a network may have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebpfnn.network.layers import Requantization

from .arithmetic import Integers
from .formats import Random, pick

_INT32 = 2**31 - 1
_BYTE_RANGES = [(0, 255), (0, 255), (-128, 127), (-127, 127), (0, 127), (0, 15), (0, 3), (0, 1), (-7, 7), (-1, 1), (-4, 3)]


def weights(shape: tuple[int, ...], random: Random) -> NDArray[np.int8]:
    """Of few bits or of all, sparse, at the ends alone, of one sign, with outputs and inputs that weigh nothing."""
    reach = pick(random, [1, 3, 7, 40, 127, 127])
    made = random.integers(-reach, reach + 1, shape)
    if random.random() < 0.1:
        made = random.choice([-127, 127], shape)
    if random.random() < 0.1:
        made = np.abs(made) * random.choice([-1, 1])
    if random.random() < 0.3:
        made = made * (random.random(shape) < random.uniform(0.1, 1))
    if random.random() < 0.2:
        made[random.random(shape[0]) < 0.4] = 0
    if random.random() < 0.2:
        made[:, random.random(shape[1]) < 0.4] = 0
    return made.astype(np.int8)


def bias(layer_weights: NDArray[np.int8], largest: int, sums: Integers, random: Random) -> NDArray[np.int32]:
    """None, of the size of the ``sums`` that it is added to, or as large as (7) allows for inputs of up to ``largest``."""
    count = len(layer_weights)
    room = _INT32 - np.abs(layer_weights.astype(np.int64)).reshape(count, -1).sum(axis=1) * largest
    if random.random() < 0.08:
        return (room * random.choice([-1, 1], count)).astype(np.int32)
    size = int(np.abs(sums).mean()) + 1
    chosen = pick(random, [np.zeros(count, np.int64), random.integers(-size, size + 1, count)])
    return np.clip(chosen, -room, room).astype(np.int32)


def requantization(accumulators: Integers, last: bool, random: Random) -> Requantization:
    """Mostly one that spreads such ``accumulators`` over its range, [n, channels, ...]; else any at all."""
    low, high = _ends(last, random)
    slope = float(pick(random, [0.125, 1, 1] if low < 0 else [0, 0, 0.125, 1]))
    positive, shift = _multipliers(accumulators, high - low, random)
    negative = np.floor(positive * slope).astype(np.int64)
    if random.random() < 0.05:
        negative = random.integers(0, 1 << 31, len(positive))
    zero_point = _zero_point(low, high, slope, random)
    return Requantization(positive.astype(np.int32), negative.astype(np.int32), shift, low, high, zero_point, slope)


def _zero_point(low: int, high: int, slope: float, random: Random) -> int:
    """Often in the middle of a range that would otherwise hold half of the numbers, or none."""
    if random.random() < 0.1:
        return int(random.integers(-128, 256))
    middle = (low + high) // 2
    if high < 256 and (slope or low > 0) and random.random() < 0.8:
        return max(-128, min(255, low if slope == 0 else middle))
    return pick(random, [0, 0, 0, 1, -1])


def _ends(last: bool, random: Random) -> tuple[int, int]:
    if last and random.random() < 0.9:
        return -_INT32 - 1, _INT32
    if random.random() < 0.8:
        return pick(random, _BYTE_RANGES)
    low, high = sorted(random.choice(256, 2, replace=False).tolist())
    shift = pick(random, [0, 128])
    return low - shift, high - shift


def _multipliers(accumulators: Integers, steps: int, random: Random) -> tuple[NDArray[np.int64], int]:
    channels = accumulators.shape[1]
    if random.random() < 0.05:
        anything = random.integers(0, 1 << 31, channels)
        extreme = np.full(channels, pick(random, [0, 1, _INT32]), np.int64)
        return pick(random, [anything, extreme]), pick(random, [1, 2, 31, 61, 62, int(random.integers(1, 63))])
    reached: Any = np.percentile(np.abs(accumulators), 90) + 1
    ratio = min(1.0 if steps > 255 else 255.0, steps / reached * pick(random, [0.3, 0.5, 1, 2]))
    shift = int(np.clip(30 - np.ceil(np.log2(ratio)), 1, 62))
    share = np.ones(channels) if random.random() < 0.5 else random.uniform(0.2, 1, channels)
    return np.clip(np.round(ratio * share * 2.0**shift), 0, _INT32).astype(np.int64), shift
