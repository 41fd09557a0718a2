"""What an order of values is called: that of a packed sample, and that of a layer of tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .inputformat import InputFormat
from .layers import Shape, describe, image_shape

NATURAL, ROWS, OWN = "as they lie", "rows", "own"
"""Flat values one after the other; the same of an image, which is row by row; and any order that has no name."""


def packed(form: InputFormat) -> str:
    """The name of the order in which ``form`` packs a sample; '' if it does not."""
    return name(np.array(form.order or range(form.size)), form.shape, 8 // form.bits) if form.packed else ""


def name(order: NDArray[np.integer], shape: Shape, members: int) -> str:
    """The name of ``order``, [size] or [groups, members] with -1 for no value, of values of ``shape``.

    ``members`` values follow each other in a group. "2x4 tiles" are all tiles of 2 rows and 4 columns, from left to right, then
    down, as many as fill a channel exactly.
    """
    given = order.reshape(-1)
    given = given[given >= 0]
    if np.array_equal(given, np.arange(given.size)):
        return NATURAL if len(shape) == 1 else ROWS
    tile = None if len(shape) == 1 else _tile(given[:members], shape[-1])
    if tile and np.array_equal(given, _tiled(shape, tile)):
        return f"{describe(tile)} tiles"
    return OWN


def tiles(shape: Shape, tile: tuple[int, int]) -> tuple[int, ...]:
    """The order of an image's values tile by tile, for :attr:`InputFormat.order`. ``tile`` is (rows, columns).

    Raises :class:`~ebpfnn.errors.ModelError` for a flat shape, :class:`ValueError` for tiles that do not divide the image.
    """
    return tuple(_tiled(shape, tile).tolist())


def _tile(first: NDArray[np.integer], columns: int) -> tuple[int, int] | None:
    """The tile that the first group may be: its rows and columns."""
    down, right = first // columns, first % columns
    tile = int(np.ptp(down)) + 1, int(np.ptp(right)) + 1
    return tile if tile[0] * tile[1] == first.size else None


def _tiled(shape: Shape, tile: tuple[int, int]) -> NDArray[np.int64]:
    channels, rows, columns = image_shape(shape)
    high, wide = tile
    if rows % high or columns % wide:
        return np.empty(0, np.int64)
    numbers = np.arange(channels * rows * columns).reshape(channels, rows // high, high, columns // wide, wide)
    tiled: NDArray[np.int64] = numbers.transpose(0, 1, 3, 2, 4).reshape(-1)
    return tiled
