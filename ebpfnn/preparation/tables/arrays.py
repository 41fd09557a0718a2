"""Tables in numpy's files: .npy, whose columns have positions, and .npz, whose columns have names."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...files import npy, zips
from ...files.streams import take
from ..items import Row, Values
from .collected import SPEC, is_collected
from .table import BLOCK, MAX_BYTES, Table, check_names

SAMPLES, COLUMNS = "samples", "columns"
_NUMBERS = "biuf"
_DAMAGE = (*npy.DAMAGE, *zips.DAMAGE)


def read_npy(stream: BinaryIO, sample: tuple[int, ...] | None = None) -> Table:
    """The rows of the array in ``stream``. One block at a time is in memory.

    An array of shape ``sample``, or with a single axis, is one row. Raises :class:`InputError` if it is not an array.
    """
    with _undamaged(".npy"):
        header = npy.read_header(stream)
        _check_dtype(header.dtype, "its array")
        single = len(header.shape) == 1 or header.shape == sample
        shape = header.shape if single else header.shape[1:]
        width = int(np.prod(shape)) * header.dtype.itemsize
        if not width:
            raise InputError("its array has no values; give some")
        if width > MAX_BYTES or (header.by_columns and header.size > MAX_BYTES):
            raise InputError(f"its array takes over {MAX_BYTES >> 20} MiB at once; save it by rows (numpy.ascontiguousarray)")
    if header.by_columns and not single:
        with _undamaged(".npy"):
            array = np.frombuffer(_whole(stream, header.size), header.dtype).reshape(header.shape, order="F")
        return Table((), iter(map(Values, array)))
    count = 1 if single else header.shape[0]
    return Table((), _blocks(stream, header.dtype, shape, width, count, "F" if header.by_columns else "C"))


def read_npz(file: BinaryIO, only: Collection[str] | None = None) -> Table:
    """The rows of an .npz file: an array [n] per column, or ``samples``, [n, columns], with the names in ``columns``.

    ``samples`` without names give rows by position. Of arrays with names, those in ``only`` are read. ``file`` must be
    seekable. Raises :class:`InputError` for arrays of different lengths or other kinds, or over 256 MiB in total.
    """
    with _undamaged(".npz"), zips.opened(file) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if SAMPLES in names and COLUMNS not in names:
            return Table((), iter(map(Values, _array(archive, SAMPLES, [0]))))
        total = [0]
        matrix = _matrix(archive, total) if SAMPLES in names else {}
        apart = (SAMPLES, COLUMNS, SPEC) if is_collected(names) else (SAMPLES, COLUMNS)
        others = [name for name in names if name not in apart]
        arrays = matrix | {name: _array(archive, name, total) for name in others if only is None or name in only}
        every = check_names((*matrix, *others))
    lengths = {array.shape for array in arrays.values()}
    if len(lengths) > 1 or any(len(shape) != 1 for shape in lengths):
        raise InputError(
            f"its arrays have the shapes {sorted(lengths)}; give each column [n], all of one length, or samples and labels"
        )
    return Table(every, _named(arrays))


def is_named(file: BinaryIO) -> bool:
    """Whether the .npz ``file`` is a table: its columns have names. False if it is not an .npz file."""
    try:
        with zips.opened(file) as archive:
            names = archive.namelist()
    except (OSError, *zips.DAMAGE):
        return False
    return COLUMNS + ".npy" in names or (bool(names) and SAMPLES + ".npy" not in names)


def _matrix(archive: zipfile.ZipFile, total: list[int]) -> dict[str, NDArray[Any]]:
    names, samples = _array(archive, COLUMNS, total), _array(archive, SAMPLES, total)
    if names.dtype.kind != "U" or names.ndim != 1 or samples.ndim != 2 or samples.shape[1] != len(names):
        shapes = f"samples {list(samples.shape)} and columns {names.dtype} {list(names.shape)}"
        raise InputError(f"{shapes}; give samples [n, columns] and the name of each column")
    return dict(zip(check_names(tuple(names.tolist())), samples.T, strict=True))


def _array(archive: zipfile.ZipFile, name: str, total: list[int]) -> NDArray[Any]:
    """The array ``name``. ``total`` counts the bytes of all arrays that were read."""
    total[0] += archive.getinfo(name + ".npy").file_size
    if total[0] > MAX_BYTES:
        raise InputError(f"its arrays are over {MAX_BYTES >> 20} MiB; give fewer rows")
    with zips.member(archive, name + ".npy") as member:
        array = npy.read(member)
    if array.shape[0] and not array.size:
        raise InputError(f"{name!r} has no values; give some")
    if array.dtype.kind != "U":
        _check_dtype(array.dtype, repr(name))
    return array


def _check_dtype(dtype: np.dtype[Any], name: str) -> None:
    if dtype.kind not in _NUMBERS or dtype.itemsize > 8:
        raise InputError(f"{name} is of {dtype}; give integers or floats of up to 64 bits")


def _named(arrays: dict[str, NDArray[Any]]) -> Iterator[Row]:
    count = len(next(iter(arrays.values()), ()))
    for start in range(0, count, BLOCK):
        block = [array[start : start + BLOCK].tolist() for array in arrays.values()]
        for row in zip(*block, strict=True):
            yield Row(dict(zip(arrays, row, strict=True)))


def _blocks(
    stream: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...], width: int, count: int, order: Any
) -> Iterator[Values]:
    each = max(1, min(BLOCK, (1 << 20) // max(1, width)))
    for start in range(0, count, each):
        rows = min(each, count - start)
        with _undamaged(".npy"):
            block = np.frombuffer(_whole(stream, rows * width), dtype).reshape(rows, *shape[::-1] if order == "F" else shape)
        yield from (Values(row.T if order == "F" else row) for row in block)


def _whole(stream: BinaryIO, size: int) -> bytes:
    data = take(stream, size)
    if len(data) != size:
        raise ValueError("cut short")
    return bytes(data)


@contextmanager
def _undamaged(kind: str) -> Iterator[None]:
    """Converts exceptions of numpy and zipfile to one :class:`InputError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except MemoryError as error:
        raise InputError("takes more memory than there is; give fewer rows") from error
    except _DAMAGE as error:
        raise InputError(f"not an {kind} file, or damaged; give what numpy saved") from error
