"""MNIST test images for the tests: all 10,000 where they are, the bundled 512 everywhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ebpfnn.datasets.mnist import read_test

ROOT = Path(__file__).parents[2]


def directory() -> Path | None:
    """Where MNIST's four files lie, if anywhere: $EBPFNN_DATA, else beside the checkout."""
    found = Path(os.environ.get("EBPFNN_DATA", ROOT.parent / "shared" / "mnist"))
    return found if (found / "t10k-images-idx3-ubyte.gz").is_file() else None


def images_labels(all: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:  # noqa: A002
    """Test images, uint8 [n, 28, 28], and labels, uint8 [n]: the bundled ones, or with ``all`` the 10,000 where they are."""
    return read_test(directory() if all else None)
