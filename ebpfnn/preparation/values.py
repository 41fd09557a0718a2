"""Samples that are arrays already: checks them, and gives them the axes that a network takes."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..network.layers import Shape, describe
from .items import Item, Picture, Row


def fitted(array: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """``array``, a uint8 sample, as ``shape``. A channel axis of length 1 may be missing or added, and axes may be flattened.

    Channels may come last: they are moved where the network has them first, and otherwise stay with the columns.

    Raises :class:`InputError` for another dtype or number of values.
    """
    found = array.shape
    if array.dtype != np.uint8:
        raise InputError(f"a sample of {array.dtype}, but the network takes bytes; give uint8 in 0..255")
    if len(found) in (2, 3) and found != shape:
        array = _channels_last(array, shape)
        found = array.shape
    if not found or not _alike(found, shape):
        raise InputError(f"a sample of {describe(found)}, but the network takes {describe(shape)}; give others")
    return np.ascontiguousarray(array).reshape(shape)


def _alike(found: Shape, shape: Shape) -> bool:
    """Whether the values of both lie in the same order."""
    flat = shape == (prod(found),) or (len(shape) == 2 and found == (prod(shape),))
    return flat or [size for size in found if size > 1] == [size for size in shape if size > 1]


def _channels_last(array: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """``array``, [rows, columns, channels] or [rows, channels], as ``shape`` has its values; else unchanged."""
    rest, channels = array.shape[:-1], array.shape[-1]
    if len(shape) == 3 and shape in ((channels, *rest), (channels, *rest, 1), (channels, 1, *rest)):
        return np.moveaxis(array, -1, 0).reshape(shape)
    if len(shape) == 2 and shape in ((array.shape[0], prod(array.shape[1:])), (1, array.size)):
        return array.reshape(shape)
    return array


def unprepared(item: Item, shape: Shape) -> NDArray[np.uint8]:
    """The values of ``item`` unchanged, uint8 of ``shape``: arrays, and pictures with the same number of pixels.

    Raises :class:`InputError` for another number of values, or a row of a table.
    """
    if isinstance(item, Row):
        raise InputError("a row of a table, but the network takes arrays; use a network that was trained on a table")
    if not isinstance(item, Picture):
        return fitted(item.array, shape)
    if len(shape) == 3 and shape[0] == 3:
        return fitted(np.ascontiguousarray(item.color().transpose(2, 0, 1)), shape)
    return fitted(item.gray(), shape)
