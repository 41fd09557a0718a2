"""Samples with labels, from any form on disk: idx files, an .npz file, a table, or folders of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..preparation import Item, Values
from ..preparation.tables import SUFFIXES, is_table
from . import imagefolder, mnist, npz, tables

_IDX = {"train": "train", "test": "t10k"}
"""The names of the parts in MNIST and its relatives."""
_REMEDY = "give a directory of idx files, an .npz file, a table, or a directory with one folder of images a class"
_FILES = (npz.SUFFIX, *(suffix for suffix in SUFFIXES if suffix not in (npz.SUFFIX, ".npy")))
"""The suffixes of files of a part."""

Prepare = Callable[[Item], NDArray[np.uint8]]
"""A function that makes a sample, uint8 of a network's shape, of an item."""

Samples = tuple[NDArray[np.uint8], NDArray[np.intp]]
"""Samples, uint8 ``[n, *shape]``, and their labels, ``[n]`` counted from 0."""


def read(
    path: Path,
    part: str,
    prepare: Prepare | None = None,
    names: tuple[str, ...] = (),
    label: str = "",
    *,
    rows: bool = False,
) -> Samples:
    """The samples, uint8 ``[n, *shape]``, and the labels, [n] counted from 0, of ``part``, "train" or "test", at ``path``.

    ================== ========================================================================================
    idx files          a directory with MNIST's file names, gzipped or not, or with a tree that torchvision made of them
    .npz               arrays ``samples`` and ``labels``; for either part, unless a directory has train.npz and test.npz
    tables             .csv, .jsonl, .parquet, or .npz with columns' names: each row is a sample; parts as .npz
    images             one folder per class, each frame a sample; for either part, unless in folders train/ and test/
    ================== ========================================================================================

    ``prepare`` makes a sample of each item for a network (:meth:`ebpfnn.plugin.Wanted.one`). If it is None, arrays are returned
    unchanged. ``names`` are the network's labels. Image folders must have these names; without ``names`` they are numbered in
    alphabetical order. ``label`` is the column with a table's classes (:func:`ebpfnn.datasets.tables.label_column`).
    With ``rows``, samples [n, columns] of an .npz file are numbers, and need not be bytes.

    Raises :class:`InputError`, in one line that names the file, for data that is missing, corrupt, too large, empty or does not
    fit, and for images and tables without ``prepare``.
    """
    place = _place(path, part)
    if folders := _folders(place):
        if prepare is None:
            raise InputError(f"{place}: holds images, and nothing says how to prepare them; give --prepare")
        return imagefolder.read_folder(place, _indices(folders, names, place), prepare)
    if is_table(place):
        if prepare is None:
            raise InputError(f"{place}: a table, and nothing says how to make samples of its rows; give a network's columns")
        return tables.read(place, prepare, names, label)
    arrays, labels = _arrays(place, part, rows=rows)
    return (arrays if prepare is None else prepared(arrays, prepare, str(place))), labels


def read_targets(
    path: Path, part: str, prepare: Prepare, columns: Sequence[str] = ("",), *, rows: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """As :func:`read`, with numbers for each sample instead of a label: what a model is to give, float64 [n, columns].

    They are the ``columns`` of a table ("" stands for its usual one), the array ``targets`` of an .npz file, or else its
    labels, as of idx files. Raises :class:`InputError` as :func:`read`, for numbers that are not finite or not as many as
    ``columns``, and for folders of images, which have none.
    """
    place = _place(path, part)
    if _folders(place):
        raise InputError(f"{place}: folders of images have no numbers; give a table, or an .npz file with an array `targets`")
    if is_table(place):
        return tables.read_targets(place, prepare, columns)
    if place.suffix == npz.SUFFIX and place.is_file():
        arrays, targets = npz.read_npz_targets(place, rows=rows)
        _check_counts(arrays, targets, place)
    else:
        arrays, labels = _arrays(place, part, rows=rows)
        targets = labels.astype(np.float64)
    each = targets.reshape(len(targets), -1)
    if each.shape[1] != len(columns):
        raise InputError(f"{place}: {each.shape[1]} targets for each sample, but the model gives {len(columns)}; give as many")
    return prepared(arrays, prepare, str(place)), each


def read_samples(path: Path, part: str, prepare: Prepare | None = None, *, rows: bool = False) -> NDArray[np.uint8]:
    """As :func:`read`, the samples alone: an .npz file needs no labels, and a table no column of classes."""
    place = _place(path, part)
    if is_table(place) and prepare is not None:
        return tables.read_samples(place, prepare)
    if place.suffix == npz.SUFFIX and place.is_file():
        arrays = npz.read_npz_samples(place, rows=rows)
        _check_counts(arrays, arrays, place)
        return arrays if prepare is None else prepared(arrays, prepare, str(place))
    return read(path, part, prepare, rows=rows)[0]


def has_labels(path: Path, part: str) -> bool:
    """Whether the data at ``path`` have labels: an .npz file may have none. Raises as :func:`read`."""
    place = _place(path, part)
    return place.suffix != npz.SUFFIX or not place.is_file() or npz.has_labels(place)


def first(path: Path, part: str) -> Item:
    """The first item of ``part`` at ``path``, for the choice of a preparation. Raises as :func:`read`."""
    place = _place(path, part)
    return imagefolder.first(place) if _folders(place) else Values(_arrays(place, part)[0][0])


def table(path: Path, part: str) -> Path | None:
    """The path of the table of ``part`` at ``path``. None if there is no table. Raises as :func:`read`."""
    place = _place(path, part)
    return place if is_table(place) and place.is_file() else None


def _arrays(place: Path, part: str, *, rows: bool = False) -> Samples:
    if place.suffix == npz.SUFFIX and place.is_file():
        samples, labels = npz.read_npz(place, rows=rows)
    elif not place.is_dir():
        raise InputError(f"{place}: {'no such data' if not place.exists() else 'no data set that is known'}; {_REMEDY}")
    else:
        images, digits = mnist.read_part(place, _IDX[part])
        samples, labels = images, digits.astype(np.intp)
    _check_counts(samples, labels, place)
    return samples, labels


def _check_counts(samples: NDArray[np.uint8], labels: NDArray[Any], place: Path) -> None:
    if len(samples) != len(labels) or not len(samples):
        raise InputError(f"{place}: {len(samples)} samples and {len(labels)} labels; give as many labels as samples, and some")
    if not 1 <= samples.ndim - 1 <= 3 or not prod(samples.shape):
        raise InputError(f"{place}: samples are {list(samples.shape)}; give [n, values] or [n, rows, columns], channels first")


def prepared(arrays: NDArray[np.uint8], prepare: Prepare, name: str) -> NDArray[np.uint8]:
    """Each of ``arrays``, [n, ...], prepared by ``prepare``, uint8 ``[n, *shape]``.

    Raises :class:`InputError`, naming ``name``.
    """
    try:
        begin = prepare(Values(arrays[0]))
        samples = np.empty((len(arrays), *begin.shape), np.uint8)
        for sample, array in zip(samples, arrays, strict=True):
            sample[...] = prepare(Values(array))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return samples


def is_divided(path: Path) -> bool:
    """Whether the data at ``path`` has separate parts for training and tests. Raises :class:`InputError`."""
    places = [_place(path, part) for part in _IDX]
    return places[0] != places[1] or (places[0].is_dir() and not _folders(places[0]))


def class_names(path: Path, part: str) -> tuple[str, ...]:
    """The names of the classes of the data at ``path``: the names of image folders. Empty for other forms."""
    return _folders(_place(path, part))


def check_labels(labels: NDArray[np.intp], classes: int, path: Path) -> None:
    """Raises :class:`InputError` if a label is not an index of one of ``classes`` classes."""
    highest = int(labels.max())
    if highest >= classes:
        raise InputError(
            f"{path}: labels reach {highest}, but there are {classes} classes; give data of classes 0..{classes - 1}"
        )


def _place(path: Path, part: str) -> Path:
    """Where ``part`` is: a file or folder of that name, the only tree that torchvision made, or ``path`` itself."""
    try:
        trees = [path / "raw", *path.glob("*/raw")]
        inside = path / part
        folder = [inside] if not inside.is_dir() or not imagefolder.has_images(inside) else []  # a class may be named "test"
        known = [*(path / (part + suffix) for suffix in _FILES), *folder, *(trees if sum(map(Path.is_dir, trees)) == 1 else ())]
        return next(filter(Path.exists, known), path)
    except OSError as error:  # no permission, or a name that is too long
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error


def _folders(place: Path) -> tuple[str, ...]:
    try:
        return imagefolder.class_names(place) if place.is_dir() else ()
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror}); {_REMEDY}") from error


def _indices(folders: tuple[str, ...], names: tuple[str, ...], place: Path) -> dict[str, int]:
    """The label of each folder."""
    classes = names or folders
    for strange in sorted(set(folders) - set(classes)):
        raise InputError(f"{place}: the network knows no class {strange!r}; name the folders {', '.join(names)}")
    return {folder: classes.index(folder) for folder in folders}
