"""The idx format of MNIST and its relatives: a big-endian header, then the values.

Source: http://yann.lecun.com/exdb/mnist/, "the IDX file format".
"""

from __future__ import annotations

import gzip
import os
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.streams import take

MAX_BYTES = 256 << 20
"""More than any data set a network of this size learns from; MNIST's largest file has 47 million."""

_UINT8 = 0x08
_REMEDY = "give an idx file of unsigned bytes, gzipped or not, such as MNIST's"


def read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The uint8 array in ``path``, gzipped or not; [n] for labels, [n, rows, columns] for images.

    Raises :class:`InputError`, naming the file, if it does not exist, is malformed, truncated or over 256 MiB.
    """
    path = Path(path)
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            return _read(gzip.GzipFile(fileobj=raw) if zipped else raw, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: its gzip data is cut short or corrupt; copy or download it again") from error
    except MemoryError as error:
        raise InputError(f"{path}: takes more memory than there is; give fewer samples") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error


def _read(stream: BinaryIO | gzip.GzipFile, path: Path) -> NDArray[np.uint8]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != bytes((0, 0, _UINT8)) or not 1 <= magic[3] <= 4:
        raise InputError(f"{path}: not an idx file of unsigned bytes (magic {magic.hex()}); {_REMEDY}")
    header = stream.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise InputError(f"{path}: its idx header is cut short; copy or download it again")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    size = prod(shape)
    if size > MAX_BYTES:
        raise InputError(f"{path}: its header declares {size} bytes, over {MAX_BYTES >> 20} MiB; {_REMEDY}")
    data = take(stream, size)
    if len(data) != size or stream.read(1):
        raise InputError(f"{path}: not the {size} bytes its idx header declares; copy or download it again")
    return np.frombuffer(data, np.uint8).reshape(shape)
