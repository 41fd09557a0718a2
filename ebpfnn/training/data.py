"""MNIST, from a directory or from the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, NotSupported
from ..mnist import read_part

CACHE = Path("~/.cache/ebpfnn")


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a data set: ``images``, uint8 [n, rows, columns], and ``labels``, uint8 [n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def load(directory: Path | None) -> tuple[Part, Part]:
    """The training and the test part, from ``directory``, or for None from the cache, downloading what it lacks.

    ``directory`` holds MNIST's four idx files, gzipped or not, or the tree that torchvision makes. Raises
    :class:`InputError` where a file is absent or corrupt, or cannot be downloaded.
    """
    root = download() if directory is None else directory
    return Part(*read_part(root, "train")), Part(*read_part(root, "t10k"))


def download() -> Path:
    """Has torchvision fetch and check MNIST where the cache lacks it.

    Raises :class:`InputError` where it cannot, and :class:`NotSupported` without torchvision.
    """
    try:
        from torchvision.datasets import MNIST
    except ImportError as error:
        raise NotSupported(
            "MNIST: downloading needs torchvision; pip install 'ebpfnn[train]', or give a directory with --data"
        ) from error
    root = CACHE.expanduser()
    try:
        MNIST(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"MNIST: cannot be downloaded to {root}; give a directory that has it with --data") from error
    return root
