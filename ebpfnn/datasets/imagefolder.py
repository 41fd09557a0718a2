"""Images in folders, one sub-folder a class, as torchvision.datasets.ImageFolder has them."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import image_metadata
from ..files.streams import take
from ..network.layers import Shape
from .idx import MAX_BYTES

MAX_PIXELS = 1 << 24
"""The largest image that is decoded: no sample of a network that fits a kernel comes near."""
MAX_FILE = 64 << 20
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".webp"})
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def class_names(directory: Path) -> tuple[str, ...]:
    """The classes of an image folder: its sub-folders that hold images, sorted; numbers by their value."""
    folders = (entry for entry in directory.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return tuple(sorted((folder.name for folder in folders if has_images(folder)), key=_order))


def has_images(folder: Path) -> bool:
    """Whether images lie in ``folder`` itself, as they do in that of a class."""
    return any(_images(folder))


def read_folder(directory: Path, shape: Shape | None, indices: Mapping[str, int]) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The images of the sub-folders in ``indices``, uint8 [n, *shape], and for each the index of its folder.

    An image of another size is scaled; it is gray for ``shape`` (rows, columns) or one channel, and in color for three. For
    a ``shape`` of None the first image tells. Raises :class:`InputError`, naming the file, for what is no image, has more
    than 2^24 pixels, 16 bits a pixel or 64 MiB, for more than 256 MiB, and for a shape that no image has.
    """
    paths = [(path, index) for name, index in indices.items() for path in sorted(_images(directory / name))]
    shape = shape or _shape_of(paths[0][0])
    if not (len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3))):
        raise InputError(f"{directory}: holds images, but the network takes {list(shape)}; give samples in an .npz file")
    if len(paths) * prod(shape) > MAX_BYTES:
        raise InputError(f"{directory}: {len(paths)} images are over {MAX_BYTES >> 20} MiB; give fewer")
    samples = np.empty((len(paths), *shape), np.uint8)
    for sample, (path, _) in zip(samples, paths, strict=True):
        sample[...] = _read(path, shape)
    return samples, np.array([index for _, index in paths], np.intp)


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def _order(name: str) -> tuple[bool, int, str]:
    is_number = name.isascii() and name.isdigit()
    return not is_number, int(name[:18]) if is_number else 0, name


def _shape_of(path: Path) -> Shape:
    from PIL import Image  # late: Pillow takes longer to import than most data takes to read

    with _decoding(path), Image.open(_head_checked(path), formats=_FORMATS) as image:
        size = (image.height, image.width)
        return size if image.mode in ("1", "L", "LA") else (3, *size)


def _read(path: Path, shape: Shape) -> NDArray[np.uint8]:
    from PIL import Image

    with _decoding(path), Image.open(_head_checked(path), formats=_FORMATS) as image:
        if image.width * image.height > MAX_PIXELS or image.mode not in _EIGHT_BITS:
            fact = f"{image.width} x {image.height} pixels of mode {image.mode}"
            raise InputError(f"{fact}; give an 8-bit image of at most {MAX_PIXELS} pixels")
        flat = image.convert("RGB" if shape[0] == 3 and len(shape) == 3 else "L")
        wanted = (shape[-1], shape[-2])
        scaled = flat if flat.size == wanted else flat.resize(wanted, Image.Resampling.BOX)
        pixels = np.asarray(scaled)
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels.reshape(shape)


def _head_checked(path: Path) -> io.BytesIO:
    """The file's bytes, whose metadata can be opened."""
    with open(path, "rb") as file:
        data = bytes(take(file, MAX_FILE + 1))
    if len(data) > MAX_FILE:
        raise InputError(f"larger than {MAX_FILE >> 20} MiB; give a smaller image")
    image_metadata.check(data)
    return io.BytesIO(data)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """What Pillow raises for damaged files, which has no common base, as one :class:`InputError`."""
    from PIL.Image import DecompressionBombError

    damage: tuple[type[Exception], ...] = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError)
    damage += (struct.error, zlib.error, AttributeError, RuntimeError, DecompressionBombError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except MemoryError as error:
        raise InputError(f"{path}: takes more memory than there is; scale it down") from error
    except damage as error:
        fact = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be decoded ({fact}); give a whole PNG, JPEG, BMP, GIF, WebP or PNM file") from error
