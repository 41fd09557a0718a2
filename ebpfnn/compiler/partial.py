"""Tables of partial sums: what eight inputs of one bit add to every output, for all 256 of their values.

With them a group of eight one-bit inputs costs one row of additions and no multiplication ("distributed arithmetic"; Croisier
et al., US 3777130, 1973; Peled and Liu, IEEE TASSP 22(6), 1974). A row holds the words of a tile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .lanes import Lanes

INPUTS = 8
ROWS = 1 << INPUTS


def partial_sums(weights: NDArray[np.int8], lanes: Lanes, words: int, tiles: int, row_words: int) -> NDArray[np.uint64]:
    """uint64 [tiles, groups, 256, row_words], for weights int8 [inputs, outputs]: bit i of a row's number stands for input i.

    Each row is made of one of half its number and one weight, so a table costs one addition a word.
    """
    inputs, outputs = weights.shape
    groups = -(-inputs // INPUTS)
    packed = np.zeros((groups * INPUTS, tiles * words), np.uint64)
    packed[:inputs, : lanes.words(outputs)] = lanes.pack(weights)
    tiled = packed.reshape(groups, INPUTS, tiles, words).transpose(1, 2, 0, 3)
    table = np.zeros((tiles, groups, ROWS, row_words), np.uint64)
    for bit in range(INPUTS):
        half = 1 << bit
        np.add(table[:, :, :half, :words], tiled[bit, :, :, None], out=table[:, :, half : 2 * half, :words])
    return table
