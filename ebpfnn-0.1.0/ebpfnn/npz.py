"""Samples and labels out of a numpy .npz file, with its sizes checked before anything of them is read.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. An .npz file is a zip of .npy files, each a
header (dtype, order, shape) and the values.
"""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .idx import MAX_BYTES

SUFFIX = ".npz"
_REMEDY = "give what numpy.savez(file, samples=..., labels=...) writes"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    SyntaxError,
    ArithmeticError,
    NotImplementedError,  # compressed or encrypted as numpy never does
    RuntimeError,
    UserWarning,  # a header as Python 2 wrote it
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What zipfile and numpy raise for a file that is not what it says."""


def read_npz(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The arrays ``samples``, uint8 [n, *shape], and ``labels``, [n], none negative, of the .npz file at ``path``.

    Samples of another integer dtype, or floats, are taken where each is a whole number in 0..255. Raises
    :class:`InputError`, naming the file, where it is malformed or over 256 MiB, or an array is missing or cannot be meant.
    """
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("error")
            samples, labels = (_array(archive, name, path) for name in ("samples", "labels"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error
    except _DAMAGE as error:
        raise InputError(f"{path}: not an .npz file, or damaged; {_REMEDY}") from error
    return _bytes(samples, path), _indices(labels, path)


def _array(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    if name + ".npy" not in archive.namelist():
        names = ", ".join(repr(found.removesuffix(".npy")) for found in archive.namelist()[:8])
        raise InputError(f"{path}: has no array {name!r}, but {names or 'nothing'}; {_REMEDY}")
    declared = archive.getinfo(name + ".npy").file_size
    if declared > MAX_BYTES:
        raise InputError(f"{path}: {name} speaks of {declared} bytes, over {MAX_BYTES >> 20} MiB; give fewer samples")
    with archive.open(name + ".npy") as member:
        return _npy(member)


def _npy(member: IO[bytes]) -> NDArray[Any]:
    """The array in ``member``. Its bytes are read before there is an array: numpy would allocate what the header speaks of."""
    shape, by_columns, dtype = _HEADERS[np.lib.format.read_magic(member)](member)
    size = prod(shape) * dtype.itemsize
    if dtype.hasobject or not shape or min(shape) < 0:
        raise ValueError("an array of objects, or no array")
    data = member.read(size + 1)
    if len(data) != size:
        raise ValueError("not the bytes that the header speaks of")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")


def _bytes(samples: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    kind, fact = samples.dtype.kind, f"{path}: samples are {samples.dtype}"
    if kind not in "iuf":
        raise InputError(f"{fact}; give uint8 in 0..255")
    low, high = (float(samples.min()), float(samples.max())) if samples.size else (0.0, 255.0)
    if kind == "f" and 0 <= low <= high <= 1:
        raise InputError(f"{fact} within 0..1, so scaled; multiply by 255, round, and give uint8")
    # NaN compares false, and is refused too.
    if not 0 <= low <= high <= 255 or (kind == "f" and (samples % 1).any()):
        raise InputError(f"{fact}, not all of them whole numbers in 0..255; give uint8")
    return np.ascontiguousarray(samples, np.uint8)


def _indices(labels: NDArray[Any], path: Path) -> NDArray[np.intp]:
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputError(f"{path}: labels are {labels.dtype} {list(labels.shape)}; give integers [n], the index of each class")
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= np.iinfo(np.intp).max:
        raise InputError(f"{path}: labels lie in {labels.min()}..{labels.max()}; count the classes from 0")
    return labels.astype(np.intp)
