"""Decoding images within limits: the one place where a file's pixels are read, for data sets as for inference."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

from ..errors import InputError
from ..files import image_metadata
from . import pam
from .damage import decoding
from .formats import MAX_BYTES, MAX_PIXELS, NAMES, PILLOW_NAMES
from .items import Picture

_GAIN_MAP = "its gain map is left out"
"""Of a JPEG with a second picture that says how bright a screen may show the first; Pillow gives any other one as a frame."""


def pictures(data: bytes, source: str) -> Iterator[Picture]:
    """Every frame of the image in ``data``, in order; most images have one.

    Raises :class:`InputError`, naming ``source`` and the frame, where it is no image, cut short, or over 2^25 pixels (2^24 as
    WebP or CMYK) or 64 MiB; frames before the damage have been given by then.
    """
    if not data:
        raise InputError(f"{source}: empty; give a {NAMES} file")
    with _opened(data, source) as (image, frames):
        notes = (_GAIN_MAP,) if image.format == "JPEG" and "mp" in image.info else ()
        if frames == 1:
            yield Picture(image, source, notes)
            return
        for number in range(frames):
            name = f"{source}:{number + 1}"
            _load(image, number, name, frames)
            yield Picture(image.copy(), name, notes)


def picture(data: bytes, source: str) -> Picture:
    """The first frame of the image in ``data``. Raises as :func:`pictures`."""
    return next(pictures(data, source))


@contextmanager
def _opened(data: bytes, source: str) -> Iterator[tuple[Image.Image, int]]:
    """The image in ``data``, loaded where it has one frame, and how many the file says it has, or Pillow counts."""
    with decoding(source), _strictly():
        image = _open(data)
        frames = int(getattr(image, "n_frames", 1)) if getattr(image, "is_animated", False) else 1
        if frames == 1:
            _check_size(image)
            image.load()
    with image:
        yield image, frames


def _open(data: bytes) -> Image.Image:
    if len(data) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES >> 20} MiB; give a smaller image")
    if data.startswith(b"P7"):
        return pam.image(data)
    image_metadata.check(data)
    return Image.open(io.BytesIO(data), formats=PILLOW_NAMES)


def _load(image: Image.Image, number: int, source: str, frames: int) -> None:
    try:
        with decoding(source), _strictly():
            if number:
                _seek(image, number)
            _check_size(image)
            image.load()
    except InputError as error:
        left = frames - number - 1
        raise InputError(f"{error}; what follows is left out: {left} of {frames} frames" if left else str(error)) from error


def _seek(image: Image.Image, number: int) -> None:
    try:
        image.seek(number)
    except EOFError:
        raise InputError("not in the file, which says that it has this frame; give a whole file") from None


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
