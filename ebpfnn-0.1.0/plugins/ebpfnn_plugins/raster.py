"""Decoding an image and fitting it to what a network takes."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, ImageStat, UnidentifiedImageError

from ebpfnn.errors import InputError
from ebpfnn.plugin import Sample

from .framing import FORMATS, NAMES
from .handwriting import fit
from .window import MAX_PIXELS

_PILLOW_NAMES = [known.pillow for known in FORMATS.values()]
PILLOW_FAILURES = (
    OSError,  # truncated, unidentified, or refused by a codec's library
    SyntaxError,  # a broken PNG, JPEG or TIFF header
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    Warning,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise for hostile bytes, by experience and by its issues: there is no common base."""


def sample(data: bytes, shape: tuple[int, ...], source: str) -> Sample:
    """The first frame of the image in ``data`` as uint8 of ``shape``, (rows, columns): light ink on a dark ground, as in MNIST.

    Raises :class:`InputError`, naming ``source``, where it is no image, cut short, over 2^25 pixels, or the shape is not flat.
    """
    if len(shape) != 2:
        raise InputError(f"{source}: an image has rows and columns, but the network takes shape {shape}; give another network")
    if not data:
        raise InputError(f"{source}: empty; give a {NAMES} file")
    fitted, notes = fit(grayscale(data, source), (shape[0], shape[1]))
    return Sample(fitted, source, notes)


def grayscale(data: bytes, source: str) -> NDArray[np.uint8]:
    """The pixels, uint8 [rows, columns], upright and with no transparency. Raises as :func:`sample`."""
    try:
        with _strictly(), Image.open(io.BytesIO(data), formats=_PILLOW_NAMES) as image:
            columns, rows = image.size
            if columns * rows > MAX_PIXELS:
                limit = f"{MAX_PIXELS:,} pixels are the limit"
                raise InputError(f"{source}: {columns:,} x {rows:,} pixels; {limit}, so scale it down")
            image.load()
            return _gray(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise InputError(f"{source}: not an image of a known format; give a {NAMES} file") from None
    except PILLOW_FAILURES as error:
        fact = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{source}: cannot be decoded ({fact}); give a whole {NAMES} file") from error


@contextmanager
def _strictly() -> Iterator[None]:
    """Pillow as it must be for strangers' bytes: no guessing of what is missing, and its own limit no lower than ours.

    Its limit is checked while a file is opened, before anyone can tell the user the size; ours comes before any decoding.
    """
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


_WITH_ALPHA, _WITH_KEY = ("LA", "PA", "RGBA"), ("1", "L", "P", "RGB")


def _gray(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in _WITH_ALPHA or (image.mode in _WITH_KEY and "transparency" in image.info):
        return _composited(image.convert("RGBA"))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        span = max(float(np.ptp(values)), np.finfo(np.float32).tiny)
        gray: NDArray[np.uint8] = np.rint((values - values.min()) / span * 255).astype(np.uint8)
        return gray
    if image.mode.startswith("I"):
        # 16 bits a pixel, whatever Pillow's release calls the mode.
        return np.rint(np.clip(np.asarray(image, dtype=np.float32), 0, 65535) / 257).astype(np.uint8)
    color = image if image.mode in ("1", "L", "RGB") else image.convert("RGB")
    return np.array(color.convert("L"))


def _composited(image: Image.Image) -> NDArray[np.uint8]:
    """Over the ground that lets the ink be seen: white under dark ink, black under light ink."""
    gray, alpha = image.convert("RGB").convert("L"), image.getchannel("A")
    seen = alpha.getbbox() is not None
    ground = Image.new("L", image.size, 0 if seen and ImageStat.Stat(gray, alpha).mean[0] >= 128 else 255)
    ground.paste(gray, mask=alpha)
    return np.array(ground)
