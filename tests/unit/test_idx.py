"""idx files: MNIST's are read, and anything else is refused before it is read."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from mnist import images_labels

from ebpfnn.datasets.idx import MAX_BYTES, read_idx
from ebpfnn.errors import InputError


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 3, 2), (0, 28, 28)])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_arrays_of_any_shape(tmp_path: Path, shape: tuple[int, ...], compress: type[bytes]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    (tmp_path / "a").write_bytes(compress(idx(array)))
    found = read_idx(tmp_path / "a")
    assert (found.dtype, found.shape) == (np.uint8, shape)
    assert found.tolist() == array.tolist()


def test_mnist() -> None:
    images, labels = images_labels()
    assert (images.shape, labels.shape, set(labels.tolist())) == ((512, 28, 28), (512,), set(range(10)))


GOOD = idx(np.zeros((3, 2), np.uint8))


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"", "not an idx file"),
        (b"\x00\x00\x08", "not an idx file"),
        (b"\x89PNG\r\n", "not an idx file"),
        (bytes((0, 0, 0x0D, 1)) + bytes(8), "not an idx file"),
        (bytes((0, 0, 8, 0)), "not an idx file"),
        (bytes((0, 0, 8, 200)), "not an idx file"),
        (GOOD[:9], "header is cut short"),
        (GOOD[:-1], "not the 6 bytes"),
        (GOOD + b"\x00", "not the 6 bytes"),
        (struct.pack(">4B2I", 0, 0, 8, 2, 2**32 - 1, 2**32 - 1), "over 256 MiB"),
        (struct.pack(">4BI", 0, 0, 8, 1, MAX_BYTES + 1), "over 256 MiB"),
        (gzip.compress(GOOD)[:-9], "cut short or corrupt"),
        (b"\x1f\x8b\x08" + bytes(40), "cut short or corrupt"),
        (b"\x1f\x8b", "cut short or corrupt"),
        (gzip.compress(GOOD, mtime=0)[:-8] + bytes(8), "cut short or corrupt"),
    ],
)
def test_refused(tmp_path: Path, data: bytes, fact: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert fact in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="cannot be read"):
            read_idx(path)
