"""Splitting a stream of images, one after another, into images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from ebpfnn.errors import InputError
from ebpfnn.preparation.formats import NAMES

from . import formats
from .window import LIMIT, Broken, Window


class Format(NamedTuple):
    """``start`` is a pattern of an image's first bytes; ``size`` finds its end."""

    start: bytes
    size: Callable[[Window], int]


FORMATS = {
    "PNG": Format(rb"\x89PNG\r\n\x1a\n", formats.png),
    "JPEG": Format(rb"\xff\xd8\xff[\xc0-\xcf\xdb\xdd\xe0-\xef\xfe]", formats.jpeg),
    "GIF": Format(rb"GIF8[79]a", formats.gif),
    "BMP": Format(rb"BM....\0\0\0\0....[\x0c\x28\x34\x38\x40\x6c\x7c]\0", formats.bmp),
    "WebP": Format(rb"RIFF....WEBP", formats.webp),
    "PNM": Format(rb"P[1-6]\s+[\d#]", formats.pnm),
    "TIFF": Format(rb"II\*\0|MM\0\*", formats.tiff),
}
_START = re.compile(b"|".join(b"(?P<%s>%s)" % (name.encode(), known.start) for name, known in FORMATS.items()), re.DOTALL)
_ENOUGH = 18
"""Bytes that are enough to tell whether an image begins at the first of them."""
_PADDING = b" \t\r\n\0"


def begins_image(head: bytes) -> bool:
    """Whether an image, perhaps after padding, begins with ``head``."""
    return _START.match(head.lstrip(_PADDING)) is not None


def split(stream: BinaryIO, name: str, limit: int = LIMIT) -> Iterator[tuple[str, bytes | InputError]]:
    """Every image of ``stream`` in order, each as soon as its last byte is there, with a name of its own: ``name:1`` and so on.

    What is no image, or part of one, is given as the error that says so, and the next image is looked for after it. White
    space and zeros between images are skipped.
    At most ``limit`` bytes, and one read, are held.
    """
    window, number = Window(stream, limit), 0
    while _skip_padding(window):
        number += 1
        try:
            yield f"{name}:{number}", window.take(_size(window))
        except Broken as broken:
            yield f"{name}:{number}", InputError(f"{name}:{number}: {broken}; give whole images, one after another")
            window.take(window.resume)
            _skip_to_start(window)


def _size(window: Window) -> int:
    while not (start := _START.match(window.buffer)):
        if len(window.buffer) >= _ENOUGH or not window.more():
            raise Broken(f"not a {NAMES} image (first bytes: {window.buffer[:8].hex(' ')})")
    kind = str(start.lastgroup)
    try:
        return FORMATS[kind].size(window)
    except Broken as broken:
        raise Broken(f"{kind}, {broken}") from None


def _skip_padding(window: Window) -> bool:
    """Whether anything but padding follows."""
    while True:
        window.take(len(window.buffer) - len(window.buffer.lstrip(_PADDING)))
        if window.buffer:
            return True
        if not window.more():
            return False


def _skip_to_start(window: Window) -> None:
    while not (start := _START.search(window.buffer)):
        window.take(max(0, len(window.buffer) - _ENOUGH))
        if not window.more():
            window.take(len(window.buffer))
            return
    window.take(start.start())
