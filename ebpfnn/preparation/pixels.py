"""The pixels of a decoded image: gray or color, upright, with transparent pixels laid over a ground."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageStat

from ..files import image_metadata
from .damage import decoding

_WITH_ALPHA, _WITH_KEY = ("LA", "PA", "RGBA"), ("1", "L", "P", "RGB")
_BAND = 1 << 20
"""The number of pixels that are converted at once. Intermediate values take up to 20 bytes each."""


def gray(image: Image.Image, source: str) -> NDArray[np.uint8]:
    """The pixels of ``image``, uint8 [rows, columns], computed in bands of rows. Raises :class:`InputError`."""
    with decoding(source):
        return _upright(_banded(image, "L"), image)


def color(image: Image.Image, source: str) -> NDArray[np.uint8]:
    """The pixels of ``image``, uint8 [rows, columns, 3] in red, green and blue, as :func:`gray`."""
    with decoding(source):
        return _upright(_banded(image, "RGB"), image)


def _upright(pixels: NDArray[np.uint8], image: Image.Image) -> NDArray[np.uint8]:
    """``pixels`` rotated according to the orientation in ``image``."""
    if not image.info and image.format != "TIFF":
        return pixels
    for key in ("exif", "Raw profile type exif"):
        held = image.info.get(key)
        if held is not None:
            image_metadata.check_exif(bytes.fromhex("".join(held.split("\n")[3:])) if isinstance(held, str) else held)
    turned = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return pixels if turned is None else np.array(Image.fromarray(pixels).transpose(turned))


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By the EXIF tag Orientation, as in PIL.ImageOps.exif_transpose(), which would rotate all channels."""


def _banded(image: Image.Image, mode: str) -> NDArray[np.uint8]:
    """The pixels in ``mode``, L or RGB, computed in bands of rows."""
    convert = _converter(image, mode)
    if image.width * image.height <= _BAND:
        return convert(image)
    pixels = np.empty((image.height, image.width, 3)[: 2 if mode == "L" else 3], np.uint8)
    for top, band in _bands(image):
        pixels[top : top + band.height] = convert(band)
    return pixels


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _converter(image: Image.Image, mode: str) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """A function that converts a band of ``image`` to ``mode``."""
    if image.mode in _WITH_ALPHA or (image.mode in _WITH_KEY and "transparency" in image.info):
        return partial(_composited, mode=mode, ground=_ground(image))
    spread = (lambda gray: gray) if mode == "L" else (lambda gray: np.repeat(gray[..., None], 3, axis=2))
    if image.mode == "F":
        ends = [(float(values.min()), float(values.max())) for values in (_finite(band) for _, band in _bands(image))]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        span = max(high - low, float(np.finfo(np.float32).tiny))
        return lambda band: spread(_stretched(band, low=low, span=span))
    if image.mode.startswith("I"):
        # 16 bits per pixel, for the mode names of all Pillow releases
        return lambda band: spread(np.rint(np.clip(np.asarray(band, dtype=np.float32), 0, 65535) / 257).astype(np.uint8))
    if image.mode == mode:
        return np.array
    flat = image.mode in ("1", "L", "RGB")
    return lambda band: np.array((band if flat else band.convert("RGB")).convert(mode))


def _finite(band: Image.Image) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(band, dtype=np.float64), posinf=0, neginf=0)


def _stretched(band: Image.Image, *, low: float, span: float) -> NDArray[np.uint8]:
    gray: NDArray[np.uint8] = np.rint((_finite(band) - low) / span * 255).astype(np.uint8)
    return gray


def _ground(image: Image.Image) -> int:
    """The ground that makes the ink visible: white under dark ink, black under light ink."""
    total = count = 0.0
    for _, band in _bands(image):
        seen = band.convert("RGBA")
        ink = ImageStat.Stat(seen.convert("RGB").convert("L"), seen.getchannel("A"))
        total, count = total + ink.sum[0], count + ink.count[0]
    return 0 if count and total / count >= 128 else 255


def _composited(band: Image.Image, *, mode: str, ground: int) -> NDArray[np.uint8]:
    inked = band.convert("RGBA")
    over = Image.new(mode, band.size, ground if mode == "L" else (ground,) * 3)
    over.paste(inked.convert("RGB").convert(mode), mask=inked.getchannel("A"))
    return np.array(over)
