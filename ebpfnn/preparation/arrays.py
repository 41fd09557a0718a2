"""Reads arrays from files, one row at a time: the headers of numpy's .npy and of idx, and the values after them.

Sources: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html and http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import io
import tokenize
import warnings
from collections.abc import Iterator
from math import prod
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.streams import take

NPY, IDX = b"\x93NUMPY", b"\0\0\x08"
"""The first bytes of files: .npy, and idx of unsigned bytes."""
MAX_ROW = 64 << 20
"""Limits in bytes: of a row, and of an array whose rows are not contiguous."""
_MAX_HEADER = 10_000
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGE = (ValueError, TypeError, LookupError, EOFError, SyntaxError, ArithmeticError, UserWarning, tokenize.TokenError)
_REMEDY = "give an array of uint8, [n, ...] or one sample"


class Array(NamedTuple):
    """The content of a header: ``shape``, and whether values are stored by columns. ``size`` is the header's size in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    by_columns: bool
    size: int


def read_npy(stream: BinaryIO) -> Array:
    """The header of a .npy file. Raises :class:`InputError`, without a source, if it is not an array of numbers."""
    start = bytes(take(stream, 12))
    size = int.from_bytes(start[8:10], "little") - 2 if start[6:7] == b"\1" else int.from_bytes(start[8:12], "little")
    try:
        if not 0 <= size <= _MAX_HEADER:
            raise ValueError("no header")
        header = io.BytesIO(start + bytes(take(stream, size)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            shape, by_columns, dtype = _HEADERS[np.lib.format.read_magic(header)](header)
    except _DAMAGE:
        raise InputError(f"not a .npy file, or damaged; {_REMEDY}") from None
    if dtype.kind not in "iuf" or dtype.hasobject or min(shape, default=0) < 0:
        raise InputError(f"an array of {dtype}; {_REMEDY}")
    return Array(shape, dtype, by_columns, 12 + size)


def read_idx(stream: BinaryIO) -> Array:
    """The header of an idx file. Raises :class:`InputError`, without a source, if it is truncated."""
    magic = bytes(take(stream, 4))
    header = bytes(take(stream, 4 * magic[3])) if len(magic) == 4 and magic[:3] == IDX and 1 <= magic[3] <= 4 else b""
    if not header or len(header) < 4 * magic[3]:
        raise InputError("no idx file of unsigned bytes, or cut short; copy or download it again")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    return Array(shape, np.dtype(np.uint8), False, 4 + len(header))


def rows(array: Array, stream: BinaryIO) -> Iterator[NDArray[np.uint8]]:
    """The rows of ``array``, whose values follow in ``stream``: uint8 of ``array.shape[1:]``, each as soon as it has arrived.

    Raises :class:`InputError`, without a source, for a row over 64 MiB, for values that are not integers in 0..255, and if the
    stream ends before the last row or continues after it.
    """
    shape = array.shape[1:]
    size = prod(shape) * array.dtype.itemsize
    if array.by_columns and len(array.shape) > 1:
        yield from _transposed(array, stream)
        return
    if size > MAX_ROW:
        raise InputError(f"its rows have {size} bytes, over {MAX_ROW >> 20} MiB; give smaller samples")
    for number in range(array.shape[0]):
        data = take(stream, size)
        if len(data) < size:
            offset = array.size + number * size + len(data)
            raise InputError(f"cut short at byte {offset}, in row {number + 1} of {array.shape[0]}; give a whole file")
        yield _bytes(np.frombuffer(data, array.dtype).reshape(shape))
    if stream.read(1):
        raise InputError(f"has more bytes behind its {array.shape[0]} rows; give a whole file")


def _transposed(array: Array, stream: BinaryIO) -> Iterator[NDArray[np.uint8]]:
    size = prod(array.shape) * array.dtype.itemsize
    if size > MAX_ROW:
        raise InputError(f"by columns, and over {MAX_ROW >> 20} MiB; save numpy.ascontiguousarray of it")
    data = take(stream, size)
    if len(data) < size:
        raise InputError(f"cut short at byte {array.size + len(data)}; give a whole file")
    for row in np.frombuffer(data, array.dtype).reshape(array.shape, order="F"):
        yield _bytes(np.ascontiguousarray(row))


def _bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """``values`` as bytes, if this changes none of them. Scaled values are refused: as bytes they would be almost blank."""
    if values.dtype == np.uint8:
        return values.view(np.uint8)
    if values.dtype.kind == "f" and values.size and 0 < float(values.max()) <= 1 and float(values.min()) >= 0:
        raise InputError(f"values of {values.dtype} within 0..1, so scaled; multiply by 255, round, and give uint8")
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.uint8)
    if not np.array_equal(whole, values):
        raise InputError(f"values of {values.dtype}, not all of them whole numbers in 0..255; {_REMEDY}")
    return whole
