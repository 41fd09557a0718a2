"""Samples with labels, from whatever form they lie in on a disk: idx files, an .npz file, or folders of images."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..network.layers import Shape, describe
from . import imagefolder, mnist, npz

_IDX = {"train": "train", "test": "t10k"}
"""What MNIST and its relatives call their parts."""
_REMEDY = "give a directory of idx files, an .npz file, or a directory with one folder of images a class"

Samples = tuple[NDArray[np.uint8], NDArray[np.intp]]
"""Samples, uint8 ``[n, *shape]``, and their labels, ``[n]`` counted from 0."""


def read(path: Path, part: str, shape: Shape | None = None, names: tuple[str, ...] = ()) -> Samples:
    """The samples, uint8 ``[n, *shape]``, and the labels, [n] counted from 0, of ``part``, "train" or "test", at ``path``.

    ================== ========================================================================================
    idx files          a directory with MNIST's file names, gzipped or not, or with a tree that torchvision made of them
    .npz               arrays ``samples`` and ``labels``; for either part, unless a directory has train.npz and test.npz
    images             one folder a class; for either part, unless they lie in the folders train/ and test/
    ================== ========================================================================================

    ``shape`` is what the network takes: samples of one channel may lack that axis, and images may become flat. None takes
    them as they lie. ``names`` are the network's labels, which image folders must be called; without them, their order is the
    alphabet's. Raises :class:`InputError`, in one line that names the file, for whatever is absent, corrupt, too large,
    empty or does not fit.
    """
    place = _place(path, part)
    if place.suffix == npz.SUFFIX and place.is_file():
        samples, labels = npz.read_npz(place)
    elif not place.is_dir():
        raise InputError(f"{place}: {'no such data' if not place.exists() else 'no data set that is known'}; {_REMEDY}")
    elif folders := _folders(place):
        samples, labels = imagefolder.read_folder(place, shape, _indices(folders, names, place))
    else:
        images, digits = mnist.read_part(place, _IDX[part])
        samples, labels = images, digits.astype(np.intp)
    if len(samples) != len(labels) or not len(samples):
        raise InputError(f"{place}: {len(samples)} samples and {len(labels)} labels; give as many labels as samples, and some")
    return _fitted(samples, shape, place), labels


def is_divided(path: Path) -> bool:
    """Whether the data at ``path`` has a part for training and another one for tests. Raises :class:`InputError`."""
    places = [_place(path, part) for part in _IDX]
    return places[0] != places[1] or (places[0].is_dir() and not _folders(places[0]))


def class_names(path: Path, part: str) -> tuple[str, ...]:
    """What the data at ``path`` calls its classes: the names of image folders; empty for other forms."""
    return _folders(_place(path, part))


def check_labels(labels: NDArray[np.intp], classes: int, path: Path) -> None:
    """Raises :class:`InputError` where a label is no index of one of ``classes`` classes."""
    highest = int(labels.max())
    if highest >= classes:
        raise InputError(
            f"{path}: labels reach {highest}, but there are {classes} classes; give data of classes 0..{classes - 1}"
        )


def _place(path: Path, part: str) -> Path:
    """Where ``part`` lies: in a file or folder of that name, in the one tree that torchvision made, or in ``path`` itself."""
    try:
        trees = [path / "raw", *path.glob("*/raw")]
        inside = path / part
        folder = [inside] if not inside.is_dir() or not imagefolder.has_images(inside) else []  # a class may be called "test"
        known = [path / (part + npz.SUFFIX), *folder, *(trees if sum(map(Path.is_dir, trees)) == 1 else ())]
        return next(filter(Path.exists, known), path)
    except OSError as error:  # no right to look, or a name longer than any file's
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


def _fitted(samples: NDArray[np.uint8], shape: Shape | None, place: Path) -> NDArray[np.uint8]:
    found = samples.shape[1:]
    if not 1 <= len(found) <= 3 or not prod(found):
        raise InputError(f"{place}: samples are {list(samples.shape)}; give [n, values] or [n, rows, columns], channels first")
    wanted = found if shape is None else shape
    if wanted not in (found, (1, *found), found[1:] if found[0] == 1 else found, (prod(found),)):
        raise InputError(f"{place}: samples are {describe(found)}, but the network takes {describe(wanted)}; give others")
    return samples.reshape(len(samples), *wanted)
