"""Decodes images within limits. Pixels of files are read only here, both for data sets and for inference."""

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
"""The note of a JPEG whose second picture is a gain map of the first. Pillow returns any other second picture as a frame."""


def pictures(data: bytes, source: str) -> Iterator[Picture]:
    """Every frame of the image in ``data``, in order; most images have one.

    Raises :class:`InputError`, naming ``source`` and the frame, if it is not an image, is truncated, or is over 2^25 pixels
    (2^24 as WebP or CMYK) or 64 MiB. Frames before the damage were yielded by then.
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
    """The image in ``data``, loaded if it has one frame, and its number of frames, from the file or as Pillow counts them."""
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
    """Sets up Pillow for untrusted data: missing data is not guessed, and Pillow's own limit is not below ours.

    Pillow checks its limit while it opens a file, before a message could tell the size. Our limit is checked before decoding.
    """
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before
