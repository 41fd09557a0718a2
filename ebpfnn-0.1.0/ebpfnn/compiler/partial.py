"""Tables of partial sums: what the inputs of one byte add to every output, for all its 256 values.

With them eight one-bit inputs, four of two bits or two of four cost one row of additions and no multiplication ("distributed
arithmetic"; Croisier et al., US 3777130, 1973; Peled and Liu, IEEE TASSP 22(6), 1974). A row holds the words of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .accumulate import Products

BYTE = 8


@dataclass(frozen=True)
class RowShape:
    """How bytes choose rows: levels, inputs less their lowest value, have ``bits`` of a byte each, so there are ``rows``.

    Where ``skipping``, a branch goes round the row of a byte that is 0.
    """

    bits: int
    rows: int
    skipping: bool = False

    @property
    def levels(self) -> int:
        """Inputs in a byte."""
        return BYTE // self.bits


def level_bits(low: int, high: int) -> int:
    """The bits of a byte that a level takes: 1 to 4 or 8, as few as hold ``high`` less ``low``."""
    return next((bits for bits in (1, 2, 3, 4) if high - low < 1 << bits), BYTE)


def level_weights(weights: NDArray[np.int8], bits: int, order: str = "little") -> NDArray[np.int8]:
    """Weights [outputs, inputs] as int8 [levels, outputs], from the least significant level of the first byte on.

    Inputs have ``bits`` each, and in ``order`` "big" the first of a byte is the most significant. A level that stands for no
    input weighs nothing, so what fills the last byte does not matter.
    """
    outputs, inputs = weights.shape
    levels = BYTE // bits
    straight = np.arange(-(-inputs // levels) * levels).reshape(-1, levels)
    numbers = (straight[:, ::-1] if order == "big" else straight).reshape(-1)
    ordered = np.zeros((len(numbers), outputs), np.int8)
    known = numbers < inputs
    ordered[known] = weights.T[numbers[known]]
    return ordered


def partial_sums(products: Products, shape: RowShape) -> NDArray[np.uint64]:
    """uint64 [tiles, bytes, rows, words in a row], for weights as :func:`level_weights` orders them.

    The row of zeros is worth its inputs' ``low``. Each other is made of one that lacks its highest bit, and one weight times
    what that bit is worth, so a table costs one addition a word.
    """
    tiled = products.tiled(products.weights).reshape(products.tiles, -1, shape.levels, products.words)
    table = np.zeros((products.tiles, tiled.shape[1], shape.rows, products.row // 8), np.uint64)
    rows = table[..., : products.words]
    rows[:, :, 0] = tiled.sum(axis=2, dtype=np.uint64) * np.uint64(products.low % (1 << 64))
    for bit in range(shape.rows.bit_length() - 1):
        half, (level, place) = 1 << bit, divmod(bit, shape.bits)
        rows[:, :, half : 2 * half] = rows[:, :, :half] + (tiled[:, :, level] << np.uint64(place))[:, :, None]
    return table
