"""Finds the end of a JPEG, and the pictures that phones and cameras append to it as parts of the same file."""

from __future__ import annotations

import re
import struct

from .starts import NEXT, OVERLAP, check, check_end, starts
from .window import Broken, Window

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The end of entropy-coded data: a marker other than a restart marker."""
_MOST = 64
"""The maximum number of pictures in one file."""
_GAP = 1 << 16
"""The maximum number of bytes between them."""
_PADDING = 16
"""The maximum number of bytes by which the declared size of a picture may exceed the picture."""
_LEAST = 40
"""The bytes that follow an application segment in any JPEG. They show whether another image began in it."""


def jpeg(window: Window) -> int:
    """A JPEG, and the pictures behind it that its MPF segment lists (CIPA DC-007), as far as they are present."""
    behind: list[tuple[int, int]] = []
    end = _picture(window, 0, behind)
    for start, size in sorted(behind)[:_MOST]:
        if not _follows(window, end, start):
            return _behind_stump(window, end)
        try:
            last, end = end, _picture(window, start, [])
        except Broken:
            following = next(starts(window.buffer, start + 1, len(window.buffer)), None)
            return following.start() if following else len(window.buffer)
        if not end <= start + size < end + _PADDING:
            return last  # another image lies at the place of this picture
    return end


def _follows(window: Window, end: int, start: int) -> bool:
    """Whether a picture of the same file begins at ``start``, and no other image before it."""
    try:
        if not end <= start <= end + _GAP:
            return False
        check(window, end, start)
        return window.get(start, 3) == b"\xff\xd8\xff"
    except Broken:
        return False


def _behind_stump(window: Window, end: int) -> int:
    """The end of a possible fragment of a picture's first bytes at ``end``, if no image begins there."""
    if NEXT.match(window.buffer, end) or window.buffer[end : end + 3] == b"\xff\xd8\xff":
        return end
    return next(end + size for size in (2, 1, 0) if window.buffer[end : end + size] == b"\xff\xd8"[:size])


def _picture(window: Window, at: int, behind: list[tuple[int, int]]) -> int:
    """Segments and entropy-coded data up to EOI (ITU-T T.81, annex B). ``behind`` receives the starts of further pictures."""
    at += 2
    while True:
        prefix, marker = window.get(at, 2)
        if prefix == 0xFF and marker == 0xFF:
            at += 1
        elif prefix == 0xFF and marker == 0xD9:
            return at + 2
        elif prefix != 0xFF or not (0xC0 <= marker < 0xF0 or marker == 0xFE) or 0xD0 <= marker <= 0xD8:
            if prefix == 0xFF and marker == 0xD8 and window.resume > 1:
                window.resume = at
            raise Broken(f"cut short before byte {at}")
        else:
            start, at = at, at + 2 + window.big(at + 2, 2)
            if marker < 0xE0:  # only APPn and COM may contain a whole image
                check(window, start, at)
            else:
                _segment(window, start, at, behind)
            window.require(at)
            if marker == 0xDA:
                window.resume = start
                at = _behind_pixels(window, at)


def _behind_pixels(window: Window, start: int) -> int:
    """The end of the entropy-coded data that begins at ``start``. No other image begins in it."""
    position = start
    while True:
        marker = _MARKER.search(window.buffer, position)
        end = marker.start() if marker else len(window.buffer)
        for other in starts(window.buffer, position, end):
            raise Broken(f"cut short after {other.start()} bytes")
        if marker:
            return end
        position = max(start, len(window.buffer) - OVERLAP)
        window.require(len(window.buffer) + 1)


def _segment(window: Window, start: int, end: int, behind: list[tuple[int, int]]) -> None:
    """Records the images inside an APPn or COM segment, and looks for an image that begins in it but is not a part of it."""
    try:
        window.require(end + _LEAST)
        check_end(window, end)
        _refuse_swallowed(window, start, end)
    finally:  # also if the segment was truncated
        segment = bytes(window.buffer[start + 4 : end])
        tiff, images = 0, list[int]()
        if segment.startswith(b"Exif\0\0"):
            tiff, images = start + 10, _thumbnail(segment[6:], start + 10)
        elif segment.startswith(b"MPF\0"):
            tiff = start + 8
            behind += _pictures(segment[4:], tiff)
        elif segment.startswith(b"JFXX\0"):
            images = [start + 10]
        elif (at := segment.find(b"8BIM\x04\x0c\0\0")) >= 0:  # Photoshop's thumbnail
            images = [start + 4 + at + 40]
        window.inner |= {tiff} if bytes(window.buffer[tiff : tiff + 2]) in (b"II", b"MM") else set()
        window.inner |= {each for each in images if window.buffer[each : each + 2] == b"\xff\xd8"}


def _refuse_swallowed(window: Window, start: int, end: int) -> None:
    """Raises :class:`Broken` if a JPEG that begins in the segment has a segment that begins at its end: it was truncated."""
    walked: set[int] = set()  # the segments of one JPEG are also segments of the other: each is checked once
    for match in starts(window.buffer, start, end):
        at = match.start() + 2
        while at < end and at not in walked and window.buffer[at] == 0xFF and 0xC0 <= window.buffer[at + 1] != 0xDA:
            walked.add(at)
            at += 2 + window.big(at + 2, 2)
        if at == end:
            raise Broken(f"cut short after {match.start()} bytes")


def _pictures(mpf: bytes, base: int) -> list[tuple[int, int]]:
    """The starts and sizes of further pictures, from an MPF directory. Its offsets count from ``base``."""
    order, found = _order(mpf), list[tuple[int, int]]()
    for tag, size, value in _entries(mpf, _place(mpf, 4)):
        if tag == 0xB002:
            for at in range(value, min(value + size, len(mpf) - 15), 16):
                found.append(struct.unpack_from(order + "II", mpf, at + 4))
    return [(base + offset, size) for size, offset in found if offset]


def _thumbnail(exif: bytes, base: int) -> list[int]:
    """The start of the thumbnail, from the second directory of EXIF."""
    first = _place(exif, 4)
    second = _place(exif, first + 2 + 12 * len(_entries(exif, first)))
    return [base + value for tag, _, value in _entries(exif, second) if tag == 0x0201]


def _entries(tiff: bytes, at: int) -> list[tuple[int, int, int]]:
    """Tag, count and value of each entry of the directory at ``at`` (TIFF 6.0, section 2). Empty if it is malformed."""
    order = _order(tiff)
    try:
        (count,) = struct.unpack_from(order + "H", tiff, at) if at else (0,)
        rows = [struct.unpack_from(order + "HHII", tiff, at + 2 + 12 * number) for number in range(min(count, 256))]
    except struct.error:
        return []
    return [(tag, size, value) for tag, _, size, value in rows]


def _place(tiff: bytes, at: int) -> int:
    try:
        return int(struct.unpack_from(_order(tiff) + "I", tiff, at)[0])
    except struct.error:
        return 0


def _order(tiff: bytes) -> str:
    return "<" if tiff[:2] == b"II" else ">"
