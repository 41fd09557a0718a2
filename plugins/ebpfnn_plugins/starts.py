"""How images begin: with enough fixed bytes that pixels do not match by chance, so that an image is found at any offset."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .window import Broken, Window

_SPACE = rb"(?:\s|#[^\r\n]{0,99}[\r\n])+"
_PNM = rb"P(?:[14]%b|[2356]%b\d{1,8}%b)\d{1,8}%b\d{1,8}(?:\s|#)" % (_SPACE, _SPACE, _SPACE, _SPACE)
_PAM = rb"P7\s+(?:#[^\r\n]{0,99}[\r\n]\s*)*(?:WIDTH|HEIGHT|DEPTH|MAXVAL|TUPLTYPE)\s"
_JPEG = (
    rb"\xff\xd8\xff(?:\xe0..JFIF\0|\xe1..Exif\0|\xe1..http:|\xe2..ICC_PROFILE\0|\xe2..MPF\0|\xee\0\x0eAdobe|\xed..Photoshop"
    rb"|\xe0..AVI1|\xdd\0\x04|\xc4\x01\xa2|\xdb\0[\x43\x84\xc5][\0-\x03]|\xfe\0.|\xc0\0[\x0b\x11]\x08)"
)
_BMP = rb"BM....\0\0\0\0..\0\0(?:\x0c\0\0\0....|[\x28\x34\x38\x40\x6c\x7c]\0\0\0........)\x01\0[\x01\x04\x08\x10\x18\x20]\0"
_TIFF = rb"II\*\0...[\x00-\x03]|MM\0\*[\x00-\x03]..."
_JP2 = rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51\0.[\x00-\x80]."
NEXT = re.compile(
    b"|".join((rb"\x89PNG\r\n\x1a\n", rb"GIF8[79]a", rb"RIFF....WEBPVP8", _JPEG, _BMP, _PNM, _PAM, _TIFF, _JP2)), re.DOTALL
)
"""The start of an image."""
OVERLAP = 400
"""The maximum length of a match in bytes, unless there are more comments than is usual."""

_BEGUN = re.compile(
    rb"(?:\x89(?:P(?:N(?:G.{0,3})?)?)?|G(?:I(?:F(?:8.?)?)?)?|R(?:I(?:F(?:F.{0,10})?)?)?|\xff(?:\xd8(?:\xff.{0,6})?|\x4f.{0,6})?"
    rb"|B(?:M.{0,28})?|P(?:[1-7](?:\s[\s\d]{0,30}|\s+#.{0,200}|\s[A-Z]{0,8})?)?|I(?:I(?:\*.{0,4})?)?|M(?:M(?:\0.{0,5})?)?"
    rb"|\0\0\0\x0c.{0,7})\Z",
    re.DOTALL,
)
"""The first bytes of a start, at the end of the data that was read."""


_ANCHORS = tuple(
    (re.compile(literal), before)
    for literal, before in (
        (rb"\x89PNG\r\n", 0),
        (rb"GIF8", 0),
        (rb"WEBPVP8", 8),
        (rb"\xff\xd8\xff", 0),
        (rb"BM", 0),
        (rb"P[1-7]\s", 0),
        (rb"II\*\0", 0),
        (rb"MM\0\*", 0),
        (rb"jP  \r\n", 4),
        (rb"\xff\x4f\xff\x51", 0),
    )
)
"""The rare bytes of each start, and the number of bytes before them. A search for each in turn takes a tenth of the time."""
_SMALL = 1 << 12
"""In fewer bytes than this, a search for all at once is faster."""


def starts(buffer: bytearray, first: int, end: int) -> Iterator[re.Match[bytes]]:
    """Yields every start of an image at or after ``first`` and before ``end``. The match may extend beyond ``end``."""
    while match := _first(buffer, first, end):
        yield match
        first = match.start() + 1


def _first(buffer: bytearray, first: int, end: int) -> re.Match[bytes] | None:
    if end - first < _SMALL:
        match = NEXT.search(buffer, first, end + OVERLAP)
        return match if match and match.start() < end else None
    found = None
    for anchor, before in _ANCHORS:
        at = first + before
        while place := anchor.search(buffer, at, end + OVERLAP):
            start = place.start() - before
            if start >= end:
                break
            if match := NEXT.match(buffer, start):
                found, end = match, start
                break
            at = place.start() + 1
    return found


def check(window: Window, start: int, end: int) -> None:
    """Makes the bytes up to ``end`` available. Raises :class:`Broken` if another image begins between ``start`` and ``end``."""
    window.allow(end)
    position = start
    while True:
        for match in starts(window.buffer, position, end):
            raise Broken(f"cut short after {match.start()} bytes")
        if len(window.buffer) >= end:
            return
        position = max(start, len(window.buffer) - OVERLAP)
        window.require(len(window.buffer) + 1)


def check_end(window: Window, end: int) -> None:
    """Raises :class:`Broken` if another image begins in the last bytes before ``end`` and continues beyond it.

    If the last bytes could be the first bytes of another image, it waits a moment for the data beyond ``end``.
    """
    first = max(1, end - 64)
    while len(window.buffer) < end + OVERLAP and _BEGUN.search(window.buffer[first:end]) and window.soon():
        pass
    for match in starts(window.buffer, first, end):
        if match.end() > end:
            raise Broken(f"cut short after {match.start()} bytes")
