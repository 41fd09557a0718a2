"""Arrays in numpy's .npy format, with their sizes checked before anything of them is read.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. A header (dtype, order, shape), then the values.
"""

from __future__ import annotations

import io
import struct
import tokenize
import warnings
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .streams import Readable, take

MAGIC = b"\x93NUMPY"
DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    SyntaxError,
    ArithmeticError,
    UserWarning,  # a header written by Python 2
    struct.error,
    tokenize.TokenError,  # a header that is not Python
)
"""The exceptions of numpy for a malformed file."""
_MAX_HEADER = 10_000
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True, eq=False)
class Header:
    """The header of an array. ``by_columns`` is Fortran order."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """The size of the values in bytes."""
        return prod(self.shape) * self.dtype.itemsize


def read_header(stream: Readable) -> Header:
    """The header at the start of ``stream``. Raises one of :data:`DAMAGE` if it is not a header, or the array holds objects."""
    held = _bytes(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shape, by_columns, dtype = _HEADERS[np.lib.format.read_magic(held)](held)
    if dtype.hasobject or not shape or min(shape) < 0:
        raise ValueError("an array of objects, or no array")
    return Header(shape, by_columns, dtype)


def read(stream: Readable) -> NDArray[Any]:
    """The array in ``stream``. Its bytes are read before an array is made, since numpy would allocate the declared size."""
    header = read_header(stream)
    data = take(stream, header.size)
    if len(data) != header.size or stream.read(1):
        raise ValueError("not the bytes that the header declares")
    return np.frombuffer(data, header.dtype).reshape(header.shape, order="F" if header.by_columns else "C")


def _bytes(stream: Readable) -> io.BytesIO:
    """The bytes of the header. numpy would read as many as the header declares."""
    start = take(stream, 12)
    size = int.from_bytes(start[8:10], "little") - 2 if start[6:7] == b"\1" else int.from_bytes(start[8:12], "little")
    if not 0 <= size <= _MAX_HEADER:
        raise ValueError("no header")
    return io.BytesIO(bytes(start + take(stream, size)))
