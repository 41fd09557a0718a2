"""Splits a stream of consecutive images into images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from ebpfnn.errors import InputError
from ebpfnn.preparation.formats import NAMES

from . import formats
from .jpeg import jpeg
from .jpeg2000 import jpeg2000
from .starts import OVERLAP, check_end, starts
from .tiff import tiff
from .window import LIMIT, Broken, Window


class Format(NamedTuple):
    """An image format.

    ``start`` is a pattern for the first bytes of an image, and ``size`` finds its end. ``sealed`` is set if the format marks
    its end so that the last bytes cannot belong to the next image. Without it, the last bytes may be the first bytes of the
    next image.
    """

    start: bytes
    size: Callable[[Window], int]
    sealed: bool = False


FORMATS = {
    "PNG": Format(rb"\x89PNG\r\n\x1a\n", formats.png, sealed=True),
    "JPEG": Format(rb"\xff\xd8\xff[\xc0-\xcf\xdb\xdd\xe0-\xef\xfe]", jpeg, sealed=True),
    "GIF": Format(rb"GIF8[79]a", formats.gif, sealed=True),
    "BMP": Format(rb"BM....\0\0\0\0....[\x0c\x28\x34\x38\x40\x6c\x7c]\0", formats.bmp),
    "WebP": Format(rb"RIFF....WEBP", formats.webp),
    "PNM": Format(rb"P[1-6]\s+[\d#]", formats.pnm),
    "PAM": Format(rb"P7\s+[#A-Z]", formats.pam),
    "TIFF": Format(rb"II\*\0|MM\0\*", tiff),
    "JPEG 2000": Format(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", jpeg2000, sealed=True),
}
_KINDS = list(FORMATS)
_START = re.compile(b"|".join(b"(%b)" % known.start for known in FORMATS.values()), re.DOTALL)
_ENOUGH = 18
"""Bytes that are enough to tell whether an image begins at the first of them."""
_PADDING = re.compile(rb"(?:[ \t\r\n]|\0(?!\0\0\x0c(?:j|\Z)|\0{0,2}\Z))*")
"""White space and zeros, except those that begin, or might begin, a JPEG 2000 image."""
_PART = re.compile(rb"(?:--[^\r\n]{1,72}\r?\n){1,2}(?:[A-Za-z][\w-]*:[^\r\n]{0,200}\r?\n){1,20}\r?\n")
_LAST_PART, _MAX_PART = re.compile(rb"--[^\r\n]{1,72}\s*\Z"), 4096
"""The data between images in multipart streams (RFC 2046, section 5.1), as cameras and ffmpeg's mpjpeg write them."""
_BOUNDARY = re.compile(rb"--[\w'()+,./:=? -]{1,70}(?:\r?\n|\Z)")


def begins_image(head: bytes) -> bool:
    """Whether ``head`` begins an image, perhaps after padding or the headers of a part of a multipart stream."""
    padding = _PADDING.match(head)
    begun = padding.end() if padding else 0
    return bool(_START.match(head, begun) or _BOUNDARY.match(head, begun))


class Piece(NamedTuple):
    """A whole image, or ``fault``: why the data at ``offset`` of the stream is not an image. ``begun``: it began as one."""

    offset: int
    image: bytes
    fault: str = ""
    begun: bool = True


def pieces(stream: BinaryIO, limit: int = LIMIT) -> Iterator[Piece]:
    """Yields every image of ``stream`` in order, each as soon as its last byte has arrived.

    Data that is not an image, or only part of one, is yielded as a fault, and the search for the next image continues after it.
    White space, zeros and the headers of multipart streams between images are skipped. At most ``limit`` bytes, plus one read,
    are held in memory.
    """
    window = Window(stream, limit)
    while _skip_padding(window):
        try:
            size = _size(window)
        except Broken as broken:
            begun = _START.match(window.buffer) is not None
            at = f"{', begun' if begun else ','} at byte {window.taken}"
            yield Piece(window.taken, b"", f"{broken}{at}", begun)
            _skip_to_start(window)
        else:
            offset = window.taken
            yield Piece(offset, window.take(size))


def split(stream: BinaryIO, name: str, limit: int = LIMIT) -> Iterator[tuple[str, bytes | InputError]]:
    """As :func:`pieces`, but each has its own name (``name:1`` and so on), and faults are errors."""
    for number, piece in enumerate(pieces(stream, limit), 1):
        yield f"{name}:{number}", fault(piece, f"{name}:{number}") if piece.fault else piece.image


def fault(piece: Piece, source: str) -> InputError:
    """The fault of ``piece``, which came from ``source``, as an error."""
    return InputError(f"{source}: {piece.fault}; give whole images, one after another")


def _size(window: Window) -> int:
    while not (start := _START.match(window.buffer)):
        if len(window.buffer) >= _ENOUGH or not window.more():
            raise Broken(f"not a {NAMES} image (first bytes: {window.buffer[:8].hex(' ')})")
    kind = _KINDS[(start.lastindex or 1) - 1]
    try:
        size = FORMATS[kind].size(window)
        if not FORMATS[kind].sealed:
            check_end(window, size)
    except Broken as broken:
        raise Broken(f"{kind}, {broken}") from None
    return size


def _skip_padding(window: Window) -> bool:
    """Skips padding, and returns whether other data follows."""
    while True:
        padding = _PADDING.match(window.buffer)
        if padding and padding.end():
            window.take(padding.end())
        if window.buffer[:2] == b"--"[: len(window.buffer)]:
            if part := _PART.match(window.buffer):
                window.take(part.end())
            elif len(window.buffer) >= _MAX_PART:
                return True
            elif not window.more():
                return bool(window.buffer) and not _LAST_PART.match(window.buffer)
        elif window.buffer.strip(b"\0"):
            return True
        elif not window.more():
            window.take(len(window.buffer))
            return False


def _skip_to_start(window: Window) -> None:
    """Removes the data before the next image, which begins at or after ``window.resume``."""
    inner = {each - window.resume for each in window.inner}
    window.take(window.resume)
    if _START.match(window.buffer):
        return
    start = next((match for match in starts(window.buffer, 0, len(window.buffer)) if match.start() not in inner), None)
    while not start:
        window.take(max(0, len(window.buffer) - OVERLAP))
        if not window.more():
            window.take(len(window.buffer))
            return
        start = next(starts(window.buffer, 0, len(window.buffer)), None)
    window.take(start.start())
