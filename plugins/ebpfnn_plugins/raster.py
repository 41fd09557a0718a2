"""Decoding an image and fitting it to what a network takes."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageStat, UnidentifiedImageError

from ebpfnn.errors import InputError
from ebpfnn.files import image_metadata
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

    Raises :class:`InputError`, naming ``source``, where it is no image, cut short, over 2^25 pixels (2^24 as WebP or
    CMYK), or the shape is not flat.
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
        image_metadata.check(data)
        with _strictly(), Image.open(io.BytesIO(data), formats=_PILLOW_NAMES) as image:
            columns, rows = image.size
            most = MAX_PIXELS // 2 if image.mode == "CMYK" or image.format == "WEBP" else MAX_PIXELS
            if columns * rows > most:
                raise InputError(f"{columns:,} x {rows:,} pixels; {most:,} pixels are the limit, so scale it down")
            image.load()
            return _upright(_gray(image), image)
    except UnidentifiedImageError:
        raise InputError(f"{source}: not an image of a known format; give a {NAMES} file") from None
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    except MemoryError as error:
        raise InputError(f"{source}: takes more memory than there is; scale it down") from error
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
_BAND = 1 << 20
"""Pixels that are converted at once: the steps in between take up to 20 bytes each."""


def _upright(gray: NDArray[np.uint8], image: Image.Image) -> NDArray[np.uint8]:
    """``gray`` turned as ``image`` says it was taken."""
    for key in ("exif", "Raw profile type exif"):
        held = image.info.get(key)
        if held is not None:
            image_metadata.check_exif(bytes.fromhex("".join(held.split("\n")[3:])) if isinstance(held, str) else held)
    turned = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return gray if turned is None else np.array(Image.fromarray(gray).transpose(turned))


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By the EXIF tag Orientation, as in PIL.ImageOps.exif_transpose(), which would turn all channels."""


def _gray(image: Image.Image) -> NDArray[np.uint8]:
    """A band of rows at a time."""
    to_gray = _converter(image)
    gray = np.empty((image.height, image.width), np.uint8)
    for top, band in _bands(image):
        gray[top : top + band.height] = to_gray(band)
    return gray


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _converter(image: Image.Image) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """What makes gray of a band of ``image``."""
    if image.mode in _WITH_ALPHA or (image.mode in _WITH_KEY and "transparency" in image.info):
        return partial(_composited, ground=_ground(image))
    if image.mode == "F":
        ends = [(float(values.min()), float(values.max())) for values in (_finite(band) for _, band in _bands(image))]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        return partial(_stretched, low=low, span=max(high - low, float(np.finfo(np.float32).tiny)))
    if image.mode.startswith("I"):
        # 16 bits a pixel, whatever Pillow's release calls the mode.
        return lambda band: np.rint(np.clip(np.asarray(band, dtype=np.float32), 0, 65535) / 257).astype(np.uint8)
    flat = image.mode in ("1", "L", "RGB")
    return lambda band: np.array((band if flat else band.convert("RGB")).convert("L"))


def _finite(band: Image.Image) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(band, dtype=np.float64), posinf=0, neginf=0)


def _stretched(band: Image.Image, *, low: float, span: float) -> NDArray[np.uint8]:
    gray: NDArray[np.uint8] = np.rint((_finite(band) - low) / span * 255).astype(np.uint8)
    return gray


def _ground(image: Image.Image) -> int:
    """The ground that lets the ink be seen: white under dark ink, black under light ink."""
    total = count = 0.0
    for _, band in _bands(image):
        seen = band.convert("RGBA")
        ink = ImageStat.Stat(seen.convert("RGB").convert("L"), seen.getchannel("A"))
        total, count = total + ink.sum[0], count + ink.count[0]
    return 0 if count and total / count >= 128 else 255


def _composited(band: Image.Image, *, ground: int) -> NDArray[np.uint8]:
    inked = band.convert("RGBA")
    over = Image.new("L", band.size, ground)
    over.paste(inked.convert("RGB").convert("L"), mask=inked.getchannel("A"))
    return np.array(over)
