"""MNIST test digits: the 512 that ship with the package, or all 10,000 where their files are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .idx import read_idx

BUNDLED = Path(__file__).parent / "data" / "digits"
_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def digits(directory: Path | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images, uint8 [n, 28, 28], and labels, uint8 [n], from ``directory``; for None, the bundled ones.

    Raises :class:`InputError` for a directory without them, or files that disagree.
    """
    images, labels = (read_idx(_find(directory or BUNDLED, name)) for name in _FILES)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError(f"{directory}: images {list(images.shape)} and labels {list(labels.shape)} do not belong together")
    return images, labels


def _find(directory: Path, name: str) -> Path:
    """Torchvision keeps the files of MNIST in ``MNIST/raw``; everyone else, where they were put."""
    for place in (directory, directory / "MNIST" / "raw"):
        for path in (place / name, place / f"{name}.gz"):
            if path.exists():
                return path
    raise InputError(f"{directory}: no file {name} or {name}.gz; give the directory that holds MNIST's idx files")
