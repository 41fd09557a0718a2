"""Which inputs select a row together: tiles of an image, or values that follow each other."""

from __future__ import annotations

from itertools import combinations, product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network import encoding
from ..network.inputformat import InputFormat
from ..network.layers import Shape, describe, image_shape

INDEX_BITS = 8
"""The most bits of a group, so that a byte selects its row."""

Tiles = tuple[int, int]


def groups(shape: Shape, bits: int, tiles: Tiles | None) -> NDArray[np.int32]:
    """The inputs of each group, int32 [groups, members], for samples of ``shape`` with ``bits`` a value.

    With ``tiles`` (rows, columns) they are the tiles of an image, from left to right, then down; else so many values that
    follow each other as fill 8 bits, and -1 where the last group has fewer. Raises :class:`ModelError` for tiles of more than 8
    bits, and for those that do not divide the image.
    """
    if tiles is None:
        members = INDEX_BITS // bits
        flat = np.arange(prod(shape), dtype=np.int32)
        return np.pad(flat, (0, -len(flat) % members), constant_values=-1).reshape(-1, members)
    name = describe(tiles)
    if len(shape) == 1:
        raise ModelError(f"--tiles {name}: samples of {shape[0]} values have no rows and columns; leave --tiles out")
    if prod(tiles) * bits > INDEX_BITS:
        fact = f"--tiles {name}: {prod(tiles)} {bits}-bit values, {prod(tiles) * bits} bits in all, and a table takes 8"
        raise ModelError(f"{fact}; give smaller tiles or fewer --bits")
    channels, rows, columns = image_shape(shape)
    if rows % tiles[0] or columns % tiles[1]:
        raise ModelError(f"--tiles {name}: do not divide an image of {describe(shape)}; give tiles that do")
    numbers = np.arange(channels * rows * columns, dtype=np.int32)
    cut = numbers.reshape(channels, rows // tiles[0], tiles[0], columns // tiles[1], tiles[1])
    order: NDArray[np.int32] = cut.transpose(0, 1, 3, 2, 4).reshape(-1, prod(tiles))
    return order


def row_numbers(form: InputFormat, order: NDArray[np.int32], samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The row that each group selects (docs/quantization.md, equation 19), uint8 [n, groups], for uint8 [n, *shape]."""
    count, (groups, members) = len(samples), order.shape
    levels = encoding.levels(form, samples).reshape(count, -1)
    if (order < 0).any():  # -1, a member that is none, is the column of level 0 at the end
        levels = np.pad(levels, ((0, 0), (0, 1)))
    taken = levels.take(order.flatten(), axis=1).reshape(count, groups, members)
    if form.bits * members == INDEX_BITS and form.bits == 1:
        return np.packbits(taken, axis=2)[..., 0]
    numbers = np.zeros((count, groups), np.uint8)
    for member in range(members):
        numbers = (numbers << np.uint8(form.bits % 8)) | taken[..., member]
    return numbers


def terms(bits: int, members: int, most: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The terms that tables are sums of, float32 [rows, terms], and how many members each looks at, int64 [terms], rising.

    A term is 1 in the rows where each of its members, 1 to ``most`` of them, reaches a level of its own, 1 or more. So for
    levels of 1 bit it is a product of bits, and row 0 has none. Terms of all members together make any table.
    """
    highest = (1 << bits) - 1
    rows = np.arange(1 << bits * members)
    shifts = bits * np.arange(members - 1, -1, -1)
    reached = rows[:, None] >> shifts & highest
    found, sizes = list[Any](), list[int]()
    for size in range(1, min(most, members) + 1):
        for chosen in combinations(range(members), size):
            for least in product(range(1, highest + 1), repeat=size):
                found.append((reached[:, list(chosen)] >= least).all(axis=1))
                sizes.append(size)
    return np.stack(found, axis=1).astype(np.float32), np.array(sizes)
