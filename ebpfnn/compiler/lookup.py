"""One table from a lane to an output: it combines bias, activation, scale and clip in a single load.

A lane of 16 bits is below 65,536, and so is every sum that the weights allow, with its bias and an offset that makes it
non-negative. If all outputs have the same multipliers, because the weights of the layer have one scale, the output depends only
on this sum: a table of 65,536 bytes holds it for any activation. Only the part that sums reach is ever read, some 6,000 bytes
for trained weights, so it stays in the first-level cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.layers import Requantization, Weighted
from ..obj.asm import R0, R7, R8, R9, R10, Register
from .accumulate import Products
from .emitter import Emitter
from .lanes import FOUR, Lanes
from .partial import BYTE
from .requantize import requantized

_SUMS = 1 << FOUR.bits
_FEWEST = 8
"""The minimum of outputs for a table: with cold caches, a table costs fewer outputs more than it saves."""
_VALUE, _TABLE, _TARGET, _BESIDE = R7, R8, R9, R0


@dataclass(frozen=True, eq=False)
class Lookup:
    """The initial lane values ``seeds``, int64 [outputs], and ``outputs``, int8 or uint8 [65536], by final lane value."""

    seeds: NDArray[np.int64]
    outputs: NDArray[np.int8] | NDArray[np.uint8]


def find_lookup(layer: Weighted, products: Products, *, levels: bool = False) -> Lookup | None:
    """The table, or None if multipliers differ, or if lanes are wider, are flushed on the way, or cannot hold the biases too.

    The table contains outputs, or ``levels``, which are outputs minus the lowest.
    """
    if products.lanes != FOUR or len(products.ends) > 1:
        return None
    wide, bias = products.weights.astype(np.int64), layer.bias.astype(np.int64)
    least = np.minimum(wide * products.low, wide * products.high).sum(axis=0)
    most = np.maximum(wide * products.low, wide * products.high).sum(axis=0)
    return lookup_of(layer.requantization, bias, least, most, levels=levels)


def lookup_of(
    by: Requantization, bias: NDArray[np.int64], least: NDArray[np.int64], most: NDArray[np.int64], *, levels: bool = False
) -> Lookup | None:
    """The table for sums in ``least..most`` without their ``bias``, int64 [outputs] each; None as :func:`find_lookup`."""
    alike = (by.positive == by.positive[0]).all() and (by.negative == by.negative[0]).all()
    if not alike or len(bias) < _FEWEST:
        return None
    least, most = least + bias, most + bias
    offset = -int(least.min())
    if int(most.max()) + offset >= _SUMS:
        return None
    return Lookup(bias + offset, _outputs(by, offset, by.lowest if levels else 0))


def _outputs(by: Requantization, offset: int, zero: int) -> NDArray[np.int8] | NDArray[np.uint8]:
    values = requantized(by, np.arange(_SUMS) - offset, channel=0) - zero
    return values.astype(np.int8 if by.lowest < zero else np.uint8)


def emit_looked_up(emit: Emitter, lanes: Lanes, outputs: int, accumulators: tuple[Register, ...], bits: int) -> None:
    """Writes ``outputs`` of ``bits`` each to where r9 points, for the lanes in ``accumulators``; r8 points to the table.

    The words go through the stack, because a lane of 16 bits can be loaded from there as a number.
    """
    words, beside = lanes.words(outputs), BYTE // bits
    with emit.scratch(8 * words) as sums:
        for word in range(words):
            emit.store("u64", R10, sums + 8 * word, accumulators[word])
        for number in range(outputs):
            emit.load(_VALUE, "u16", R10, sums + 2 * number)
            emit.alu(_VALUE, "+=", _TABLE)
            byte, place = divmod(number, beside)
            into = _VALUE if place else _BESIDE
            emit.load(into, "u8", _VALUE)
            if place:
                emit.alu(_VALUE, "<<=", place * bits)
                emit.alu(_BESIDE, "|=", _VALUE)
            if place == beside - 1 or number == outputs - 1:
                emit.store("u8", _TARGET, byte, _BESIDE)
