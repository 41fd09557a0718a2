"""Bounds of a lane: the proof that several sums can share a register, from the weights alone.

The inputs of a layer are in ``low..high``. Over a run of inputs, the sum for one output is between

    sum_i min(w[i] low, w[i] high)   and   sum_i max(w[i] low, w[i] high)

and the difference, its range, is ``(high - low) sum_i |w[i]|``. A lane of b bits can hold it if it is below 2^b. If the range
of the whole layer is larger, the inputs are cut into *segments*. At the end of each segment, the lanes are flushed into 32-bit
sums. One or two segments are usual for trained weights and 21 bits, thirteen for 784 inputs whose weights are all 127.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

_Weights = NDArray[np.int8]


def lowest_sums(weights: _Weights, low: int, high: int) -> NDArray[np.int64]:
    """The lowest sum of each output, int64 [outputs], for weights int8 [inputs, outputs]."""
    wide = weights.astype(np.int64)
    lowest: NDArray[np.int64] = np.minimum(wide * low, wide * high).sum(axis=0)
    return lowest


def reach(weights: _Weights, low: int, high: int) -> NDArray[np.int64]:
    """The range of the sum of the first inputs, int64 [inputs, outputs], for weights int8 [inputs, outputs]."""
    cumulated: NDArray[np.int64] = np.abs(weights.astype(np.int16)).cumsum(axis=0, dtype=np.int64) * (high - low)
    return cumulated


def segments(ranges: NDArray[np.int64], bits: int, step: int = 1) -> tuple[int, ...]:
    """Where each segment ends, in inputs, for the result of :func:`reach`: segments as long as lanes of ``bits`` allow.

    Every end except the last is a multiple of ``step``. Raises :class:`ModelError` if one step of inputs is too many.
    """
    inputs, limit = len(ranges), 1 << bits
    if int(ranges[-1].max()) < limit:
        return (inputs,)
    ends: list[int] = []
    start, before = 0, np.zeros(ranges.shape[1], np.int64)
    while start < inputs:
        end = _first_past(ranges, start, before + limit)
        if end < inputs:
            end -= end % step
        if end <= start:
            raise ModelError(f"{step} inputs from number {start} on can pass {bits} bits, which is what a lane holds")
        ends.append(end)
        before, start = ranges[end - 1], end
    return tuple(ends)


def find_segments(ranges: NDArray[np.int64], bits: int, step: int) -> tuple[int, ...]:
    """Like :func:`segments`; empty if lanes this narrow cannot hold even one step of inputs."""
    try:
        return segments(ranges, bits, step)
    except ModelError:
        return ()


def _first_past(ranges: NDArray[np.int64], start: int, bounds: NDArray[np.int64]) -> int:
    """The first input from ``start`` on whose range reaches a bound; the number of inputs if none does."""
    return bisect_left(range(len(ranges)), True, start, key=lambda number: bool((ranges[number] >= bounds).any()))
