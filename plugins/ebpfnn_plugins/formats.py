"""Where an image ends, format by format: functions from a window, at whose start the image lies, to the image's size in bytes.

Nothing is decoded. What carries pixels is searched for the start of another image, so that one that was cut short does not
take its successor with it; where a format proves broken, the next image is looked for from the last part that was whole.
"""

from __future__ import annotations

import re

from ebpfnn.preparation.formats import MAX_PIXELS

from .window import Broken, Window

NEXT = re.compile(rb"\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBPVP8|\xff\xd8\xff(?:\xe0..JFIF|\xe1..Exif)\0", re.DOTALL)
"""The start of an image, in so many bytes that pixels do not look like it by chance."""
OVERLAP = 16
"""Bytes that a match of it has at most."""


def png(window: Window) -> int:
    """Chunks up to IEND (W3C, Portable Network Graphics Specification, 5.3)."""
    at = before = 8
    while True:
        size, kind = window.big(at, 4), window.get(at + 4, 4)
        end = at + 12 + size
        if kind == b"IEND" and window.get(at, 12) == b"\0\0\0\0IEND\xaeB`\x82":
            return end
        if kind == b"IEND" or not kind.isalpha():
            raise Broken(f"cut short before byte {at}")
        window.resume = before  # a chunk that was cut short took the head of what follows, which then looks like a chunk
        if kind == b"IDAT":
            _pixels(window, at, end)
        window.require(end)
        before, at = at, end


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]|" + NEXT.pattern, re.DOTALL)
"""What ends entropy-coded data: a marker that is no restart, or the start of another image."""


def jpeg(window: Window) -> int:
    """Segments and entropy-coded data up to EOI (ITU-T T.81, annex B)."""
    at = 2
    while True:
        prefix, marker = window.get(at, 2)
        if prefix == 0xFF and marker == 0xFF:
            at += 1
        elif prefix == 0xFF and marker == 0xD9:
            return at + 2
        elif prefix != 0xFF or marker < 0xC0 or 0xD0 <= marker <= 0xD8:
            raise Broken(f"cut short before byte {at}")
        else:
            window.resume = at
            at += 2 + window.big(at + 2, 2)
            if marker < 0xE0:  # APPn and COM alone may hold a whole image: a thumbnail
                _pixels(window, window.resume, at)
            window.require(at)
            if marker == 0xDA:
                at = window.find(_MARKER, at, OVERLAP)


def gif(window: Window) -> int:
    """Blocks up to the trailer (CompuServe, GIF89a Specification, appendix A)."""
    start, at = 6, 13 + _color_table(window.get(10, 1)[0])
    while True:
        _pixels(window, start, at)
        introducer = window.get(at, 1)
        if introducer == b";":
            return at + 1
        if introducer not in (b",", b"!"):
            raise Broken(f"cut short before byte {at}")
        window.resume = start = at
        at += 2 if introducer == b"!" else 11 + _color_table(window.get(at + 9, 1)[0])
        while size := window.get(at, 1)[0]:
            at += 1 + size
        at += 1


def _color_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def bmp(window: Window) -> int:
    """The size that the header tells (BITMAPFILEHEADER, bfSize); there is no checksum."""
    size, pixels = window.little(2, 4), window.little(10, 4)
    if not 26 <= pixels <= size:
        raise Broken("a BMP whose header does not tell its size")
    _pixels(window, 14, size)
    return size


def webp(window: Window) -> int:
    """The chunks of a RIFF container (RFC 9649, section 2.3)."""
    end, at = 8 + window.little(4, 4), 12
    while at < end:
        kind, after = window.get(at, 4), at + 8 + window.little(at + 4, 4)
        if after > end or not kind.isascii():
            raise Broken(f"cut short before byte {at}")
        window.resume = at
        if kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF"):
            _pixels(window, at, after)
        at = after + (after & 1)
        _pixels(window, after, at)
    window.require(end)
    return end


_SPACE = rb"\s*(?:#[^\r\n]{0,1024}[\r\n]\s*)*"
_WORD, _BIT = re.compile(_SPACE + rb"(\d{0,9})"), re.compile(_SPACE + rb"([01]?)")
_MANY = 256
_WORDS = re.compile(rb"(?:%s\d{1,9}(?=[\s#])){%d}" % (_SPACE, _MANY))
_BITS = re.compile(rb"(?:%s[01]){%d}" % (_SPACE, _MANY))
"""As many numbers at once, where they are there: a number at a time takes ten times as long."""


def pnm(window: Window) -> int:
    """A header of numbers, then the raster (Netpbm's man pages pbm, pgm, ppm): words for P1 to P3, bytes for P4 to P6."""
    kind = int(window.get(1, 1))
    bitmap, channels = kind in (1, 4), 3 if kind in (3, 6) else 1
    columns, at = _word(window, 2)
    rows, at = _word(window, at)
    largest, at = (1, at) if bitmap else _word(window, at)
    if not (columns and rows and 0 < largest < 1 << 16 and window.get(at, 1).isspace()):
        raise Broken("a PNM header that makes no sense")
    window.resume = at
    if rows * columns > MAX_PIXELS:
        raise Broken(f"{columns}x{rows} pixels, more than {MAX_PIXELS}")
    if kind > 3:
        row = (columns + 7) // 8 if bitmap else columns * channels * (1 if largest < 256 else 2)
        _pixels(window, at + 1, at + 1 + rows * row)
        return at + 1 + rows * row
    window.allow(at + rows * columns * channels)
    return _skip_words(window, at, rows * columns * channels, bitmap)


def _skip_words(window: Window, at: int, count: int, bitmap: bool) -> int:
    """Where the last of ``count`` numbers ends, bits in a bitmap."""
    word, words = (_BIT, _BITS) if bitmap else (_WORD, _WORDS)
    while count:
        some = min(count, _MANY)
        match = words.match(window.buffer, at) if some == _MANY else None
        if match:
            at = match.end()
        else:
            for _ in range(some):
                _, at = _word(window, at, word)
        count -= some
    return at


def _word(window: Window, at: int, pattern: re.Pattern[bytes] = _WORD) -> tuple[int, int]:
    """The number after white space and comments, and where it ends: at something that is no digit, unless it is a bit."""
    while True:
        match = pattern.match(window.buffer, at)
        word, end = (match[1], match.end()) if match else (b"", at)
        if word and (end < len(window.buffer) or window.ended or pattern is _BIT):
            return int(word), end
        at = end - len(word)
        comment = window.buffer[end : end + 1] == b"#" and len(window.buffer) - end <= 1024
        if (end < len(window.buffer) and not comment) or not (window.more() or word):
            raise Broken(f"cut short after {end} bytes")
        window.allow(len(window.buffer))


def tiff(window: Window) -> int:
    """A TIFF's parts may lie anywhere in it (TIFF 6.0, section 2), so nothing tells where it ends."""
    window.resume = 4
    raise Broken("which does not tell where it ends; give it as a file")


def _pixels(window: Window, start: int, end: int) -> None:
    """Makes the bytes up to ``end`` available; raises :class:`Broken` where another image begins among those from ``start``."""
    window.allow(end)
    position = start
    while True:
        match = NEXT.search(window.buffer, position, end + OVERLAP)
        if match and match.start() < end:
            window.resume = match.start()
            raise Broken(f"cut short after {match.start()} bytes")
        if len(window.buffer) >= end:
            return
        position = max(start, len(window.buffer) - OVERLAP)
        window.require(len(window.buffer) + 1)
