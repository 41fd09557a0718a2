"""Decoding images within limits: the one place where a file's pixels are read, for data sets as for inference."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

from ..errors import InputError
from ..files import image_metadata
from .damage import decoding
from .formats import MAX_BYTES, MAX_PIXELS, NAMES, PILLOW_NAMES
from .items import Picture


def pictures(data: bytes, source: str) -> Iterator[Picture]:
    """Every frame of the image in ``data``, in order; most images have one.

    Raises :class:`InputError`, naming ``source``, where it is no image, cut
    short, or over 2^25 pixels (2^24 as WebP or CMYK) or 64 MiB; frames before the damage have been given by then.
    """
    if not data:
        raise InputError(f"{source}: empty; give a {NAMES} file")
    with _open(data, source) as image:
        number = 0
        while _seek(image, number, source):
            number += 1
            many = getattr(image, "is_animated", False)
            yield Picture(image.copy(), f"{source}:{number}") if many else Picture(image, source)


def picture(data: bytes, source: str) -> Picture:
    """The first frame of the image in ``data``. Raises as :func:`pictures`."""
    return next(pictures(data, source))


def _open(data: bytes, source: str) -> Image.Image:
    with decoding(source), _strictly():
        if len(data) > MAX_BYTES:
            raise InputError(f"larger than {MAX_BYTES >> 20} MiB; give a smaller image")
        image_metadata.check(data)
        return Image.open(io.BytesIO(data), formats=PILLOW_NAMES)


def _seek(image: Image.Image, number: int, source: str) -> bool:
    """Loads frame ``number``; False where there is none."""
    with decoding(source), _strictly():
        if number:
            if not getattr(image, "is_animated", False):
                return False
            try:
                image.seek(number)
            except EOFError:
                return False
        _check_size(image)
        image.load()
        return True


def _check_size(image: Image.Image) -> None:
    columns, rows = image.size
    most = MAX_PIXELS // 2 if image.mode == "CMYK" or image.format == "WEBP" else MAX_PIXELS
    if columns * rows > most:
        raise InputError(f"{columns:,} x {rows:,} pixels; {most:,} pixels are the limit, so scale it down")


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
