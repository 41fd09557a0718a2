"""One table from a lane to an output: bias, activation, scale and clip in a single load.

A lane of 16 bits is a number below 65,536, and so is every sum that the weights allow, with its bias and an offset that
leaves none below zero. Where all outputs have the same multipliers, as they do when the layer's weights have one scale, what
becomes of a sum depends on nothing else: 65,536 bytes hold it for any activation. Only the part that sums reach is ever read,
some 6,000 bytes for trained weights, so it stays in the first-level cache.
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
"""Outputs that are worth a table: in cold caches it costs them more than it saves."""
_VALUE, _TABLE, _TARGET, _BESIDE = R7, R8, R9, R0


@dataclass(frozen=True, eq=False)
class Lookup:
    """What lanes begin with, ``seeds``, int64 [outputs], and what they then stand for, ``outputs``, int8 or uint8 [65536]."""

    seeds: NDArray[np.int64]
    outputs: NDArray[np.int8] | NDArray[np.uint8]


def find_lookup(layer: Weighted, products: Products, *, levels: bool = False) -> Lookup | None:
    """None where multipliers differ, or where lanes are wider, are flushed on the way, or cannot hold the biases as well.

    The table has outputs, or ``levels``, which are outputs less the lowest.
    """
    by = layer.requantization
    alike = (by.positive == by.positive[0]).all() and (by.negative == by.negative[0]).all()
    if not alike or products.lanes != FOUR or len(products.ends) > 1 or layer.outputs < _FEWEST:
        return None
    wide, bias = products.weights.astype(np.int64), layer.bias.astype(np.int64)
    least = np.minimum(wide * products.low, wide * products.high).sum(axis=0) + bias
    most = np.maximum(wide * products.low, wide * products.high).sum(axis=0) + bias
    offset = -int(least.min())
    if int(most.max()) + offset >= _SUMS:
        return None
    return Lookup(bias + offset, _outputs(by, offset, by.low if levels else 0))


def _outputs(by: Requantization, offset: int, zero: int) -> NDArray[np.int8] | NDArray[np.uint8]:
    values = requantized(by, np.arange(_SUMS) - offset, channel=0) - zero
    return values.astype(np.int8 if by.low < zero else np.uint8)


def emit_looked_up(emit: Emitter, lanes: Lanes, outputs: int, accumulators: tuple[Register, ...], bits: int) -> None:
    """Writes ``outputs`` of ``bits`` each to where r9 points, for the lanes in ``accumulators``; r8 points to the table.

    The words go through the stack, for a lane of 16 bits is a number that can be loaded.
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
