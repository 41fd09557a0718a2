"""Tables of partial sums: what the inputs of one byte add to every output, for all its 256 values.

With them, eight inputs of one bit, four of two bits or two of four bits cost one row of additions and no multiplication
("distributed arithmetic"; Croisier et al., US 3777130, 1973; Peled and Liu, IEEE TASSP 22(6), 1974). A row holds the words of a
tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .accumulate import Products

BYTE = 8


@dataclass(frozen=True)
class RowShape:
    """How bytes select one of ``rows`` rows: a level, which is an input minus the lowest value, takes ``bits`` of a byte.

    With ``skipping``, a branch skips the row of a byte that is 0; or bytes that are not 0 are ``listed`` first.
    """

    bits: int
    rows: int
    skipping: bool = False
    listed: bool = False

    @property
    def levels(self) -> int:
        """Inputs per byte."""
        return BYTE // self.bits


def level_bits(low: int, high: int) -> int:
    """The bits that a level takes in a byte: 1 to 4 or 8, the smallest that holds ``high`` minus ``low``."""
    return next((bits for bits in (1, 2, 3, 4) if high - low < 1 << bits), BYTE)


def level_weights(weights: NDArray[np.int8], bits: int, order: str = "little") -> NDArray[np.int8]:
    """Weights [outputs, inputs] as int8 [levels, outputs], from the least significant level of the first byte on.

    Inputs have ``bits`` each. With ``order`` "big", the first input of a byte is the most significant. Unused levels have
    weight 0, so the padding of the last byte does not matter.
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

    The row of the byte 0 is the sum for inputs of ``low``. Each other row is computed from the row without its highest bit,
    plus one weight times the value of that bit, so a table costs one addition per word.
    """
    tiled = products.tiled(products.weights).reshape(products.tiles, -1, shape.levels, products.words)
    table = np.zeros((products.tiles, tiled.shape[1], shape.rows, products.row // 8), np.uint64)
    rows = table[..., : products.words]
    rows[:, :, 0] = tiled.sum(axis=2, dtype=np.uint64) * np.uint64(products.low % (1 << 64))
    for bit in range(shape.rows.bit_length() - 1):
        half, (level, place) = 1 << bit, divmod(bit, shape.bits)
        rows[:, :, half : 2 * half] = rows[:, :, :half] + (tiled[:, :, level] << np.uint64(place))[:, :, None]
    return table
