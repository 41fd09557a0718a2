"""Images in folders, one subfolder per class, as in torchvision.datasets.ImageFolder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.streams import take
from ..preparation import Item, Picture
from ..preparation.formats import MAX_BYTES as MAX_FILE
from ..preparation.formats import SUFFIXES
from .idx import MAX_BYTES


def class_names(directory: Path) -> tuple[str, ...]:
    """The classes of an image folder: its subfolders with images, sorted; numbers are sorted by value."""
    folders = (entry for entry in directory.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return tuple(sorted((folder.name for folder in folders if has_images(folder)), key=_order))


def has_images(folder: Path) -> bool:
    """Whether ``folder`` itself contains images, as the folder of a class does."""
    return any(_images(folder))


def first(directory: Path) -> Picture:
    """The first image of the first class. Raises as :func:`read_folder`."""
    from ..preparation.decode import picture  # imported late: Pillow takes longer to import than most data to read

    path = next(path for name in class_names(directory) for path in sorted(_images(directory / name)))
    return picture(_read(path), str(path))


def read_folder(
    directory: Path, indices: Mapping[str, int], prepare: Callable[[Item], NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The images of the subfolders in ``indices``, each frame prepared by ``prepare``, and the index of its folder.

    Samples are uint8 ``[n, *shape]``, labels [n]. Raises :class:`InputError`, naming the file, for a file that is not an image
    or cannot be prepared, and for more than 256 MiB of samples.
    """
    from ..preparation.decode import pictures

    samples: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for name, index in indices.items():
        for path in sorted(_images(directory / name)):
            for picture in pictures(_read(path), str(path)):
                samples.append(_prepared(picture, prepare))
                labels.append(index)
                if len(samples) * samples[0].nbytes > MAX_BYTES:
                    raise InputError(f"{directory}: its samples are over {MAX_BYTES >> 20} MiB; give fewer")
    return np.stack(samples), np.array(labels, np.intp)


def _prepared(picture: Picture, prepare: Callable[[Item], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    try:
        return prepare(picture)
    except InputError as error:
        raise InputError(f"{picture.source}: {error}") from error


def _read(path: Path) -> bytes:
    """Reads at most enough of a file to detect that it is too large."""
    try:
        with open(path, "rb") as file:
            return bytes(take(file, MAX_FILE + 1))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file that you may read") from error


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def _order(name: str) -> tuple[bool, int, str]:
    is_number = name.isascii() and name.isdigit()
    return not is_number, int(name[:18]) if is_number else 0, name
