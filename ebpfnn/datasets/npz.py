"""Samples and labels from a numpy .npz file. Its sizes are checked before any data is read.

An .npz file is a zip archive of .npy files (:mod:`ebpfnn.files.npy`).
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import npy, zips
from .idx import MAX_BYTES

SUFFIX = ".npz"
TARGETS = "targets"
"""The array of numbers that a model of values is to give."""
MAX_LABELS = 64 << 20
_PIECE = 1 << 20
_REMEDY = "give what numpy.savez(file, samples=..., labels=...) writes"
_DAMAGE = (*npy.DAMAGE, *zips.DAMAGE)
"""The exceptions of zipfile and numpy for a malformed file."""


def read_npz(path: Path, *, rows: bool = False) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The arrays ``samples``, uint8 [n, *shape], and ``labels``, [n], none negative, of the .npz file at ``path``.

    Samples of another integer dtype, or floats, are accepted if each is an integer in 0..255. With ``rows``, samples
    [n, columns] are numbers as they are. Raises :class:`InputError`, naming the file, if it is malformed, its samples are over
    256 MiB or its labels over 64, or an array is missing or has the wrong form.
    """
    with _opened(path) as archive:
        samples = _samples(archive, path, rows=rows)
        return samples, _indices(_array(archive, "labels", MAX_LABELS, path), path)


def read_npz_samples(path: Path, *, rows: bool = False) -> NDArray[Any]:
    """As :func:`read_npz`, the samples alone."""
    with _opened(path) as archive:
        return _samples(archive, path, rows=rows)


def has_labels(path: Path) -> bool:
    """Whether there is an array ``labels``. Raises as :func:`read_npz` for a file that is malformed."""
    with _opened(path) as archive:
        return "labels.npy" in archive.namelist()


def read_npz_targets(path: Path, *, rows: bool = False) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """As :func:`read_npz`, with the array ``targets``, or else ``labels``: float64 [n] or [n, components], all finite."""
    with _opened(path) as archive:
        samples = _samples(archive, path, rows=rows)
        found = archive.namelist()
        name = "labels" if "labels.npy" in found and TARGETS + ".npy" not in found else TARGETS
        return samples, _numbers(_array(archive, name, MAX_LABELS, path), name, path)


def has_numbers(path: Path) -> bool:
    """Whether the array ``samples`` of the .npz file at ``path`` are rows of numbers that are no bytes, [n, columns].

    Raises as :func:`read_npz` for a file that is malformed or has no such array.
    """
    with _opened(path) as archive:
        samples = _array(archive, "samples", MAX_BYTES, path)
    try:
        _bytes(samples, path)
    except InputError:
        return samples.ndim == 2 and samples.dtype.kind in "iuf"
    return False


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive. What its content raises becomes an :class:`InputError` that names the file."""
    try:
        with warnings.catch_warnings(), open(path, "rb") as file, zips.opened(file) as archive:
            warnings.simplefilter("error")
            yield archive
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error
    except _DAMAGE as error:
        raise InputError(f"{path}: not an .npz file, or damaged; {_REMEDY}") from error
    except MemoryError as error:
        raise InputError(f"{path}: takes more memory than there is; give fewer samples") from error


def _array(archive: zipfile.ZipFile, name: str, limit: int, path: Path) -> NDArray[Any]:
    if name + ".npy" not in archive.namelist():
        names = ", ".join(repr(found.removesuffix(".npy")[:40]) for found in archive.namelist()[:8])
        raise InputError(f"{path}: has no array {name!r}, but {names or 'nothing'}; {_REMEDY}")
    declared = archive.getinfo(name + ".npy").file_size
    if declared > limit:
        raise InputError(f"{path}: {name} declares {declared} bytes, over {limit >> 20} MiB; give fewer samples")
    with zips.member(archive, name + ".npy") as member:
        return npy.read(member)


def _samples(archive: zipfile.ZipFile, path: Path, *, rows: bool) -> NDArray[Any]:
    samples = _array(archive, "samples", MAX_BYTES, path)
    return samples if rows and samples.ndim == 2 and samples.dtype.kind in "iuf" else _bytes(samples, path)


def _bytes(samples: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    kind, fact = samples.dtype.kind, f"{path}: samples are {samples.dtype}"
    if kind not in "iuf":
        raise InputError(f"{fact}; give uint8 in 0..255")
    low, high = (float(samples.min()), float(samples.max())) if samples.size else (0.0, 255.0)
    if kind == "f" and 0 <= low <= high <= 1:
        raise InputError(f"{fact} within 0..1, so scaled; multiply by 255, round, and give uint8")
    # comparisons with NaN are false, so NaN is refused too
    if not 0 <= low <= high <= 255 or (kind == "f" and not _whole(samples)):
        raise InputError(f"{fact}, not all of them whole numbers in 0..255; give uint8")
    return np.ascontiguousarray(samples, np.uint8)


def _whole(samples: NDArray[Any]) -> bool:
    """Works on one piece at a time, since the remainders would double the memory."""
    flat = samples.reshape(-1, order="A")
    return not any((flat[start : start + _PIECE] % 1).any() for start in range(0, len(flat), _PIECE))


def _indices(labels: NDArray[Any], path: Path) -> NDArray[np.intp]:
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputError(f"{path}: labels are {labels.dtype} {list(labels.shape)}; give integers [n], the index of each class")
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= np.iinfo(np.intp).max:
        raise InputError(f"{path}: labels lie in {labels.min()}..{labels.max()}; count the classes from 0")
    return labels.astype(np.intp)


def _numbers(found: NDArray[Any], name: str, path: Path) -> NDArray[np.float64]:
    if found.dtype.kind not in "iuf" or found.ndim not in (1, 2):
        fact = f"{path}: {name} are {found.dtype} {list(found.shape)}"
        raise InputError(f"{fact}; give numbers [n], the target of each sample, or [n, components]")
    numbers = found.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"{path}: {name} are not all finite; leave these samples out")
    return numbers
