"""MNIST's files: the 512 test images that ship with the package, or the full set from its idx files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .idx import read_idx

BUNDLED = Path(__file__).parents[1] / "data" / "digits"
_RAW = Path("MNIST/raw")
"""Where torchvision.datasets.MNIST keeps the files below its root."""


def read_test(directory: Path | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Test images and labels as :func:`ebpfnn.datasets.mnist.read_part` returns them; the bundled ones for None."""
    return read_part(directory or BUNDLED, "t10k")


def read_part(directory: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images, uint8 [n, rows, columns], and labels, uint8 [n], of ``train`` or ``t10k``.

    ``directory`` holds the idx files, gzipped or not, or the tree that torchvision makes. Raises
    :class:`~ebpfnn.errors.InputError` if a file does not exist or is corrupt, or if the two do not belong together.
    """
    image_path, label_path = (_find(directory, f"{part}-{name}-ubyte") for name in ("images-idx3", "labels-idx1"))
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not len(images):
        shapes = f"{list(images.shape)} and {list(labels.shape)}"
        raise InputError(f"{image_path}: images and labels are {shapes}; give as many labels as images")
    return images, labels


def _find(directory: Path, name: str) -> Path:
    for path in (folder / f"{name}{suffix}" for folder in (directory, directory / _RAW) for suffix in ("", ".gz")):
        if path.is_file():
            return path
    raise InputError(f"{directory}: has no {name}[.gz]; give a directory with MNIST's four idx files")
