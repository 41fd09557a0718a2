"""Finds the end of an image, for each format.

Each function takes a window at whose start the image lies, and returns the size of the image in bytes. Nothing is decoded. The
parts that contain pixels are searched for the start of another image, so that a truncated image does not include the next one.
If an image is broken, the search for the next image starts after the last part that was complete.
"""

from __future__ import annotations

import re
import struct
import zlib

from ebpfnn.preparation.formats import MAX_PIXELS
from ebpfnn.preparation.pam import HEADER_END, MAX_HEADER, read_header

from .starts import check
from .window import Broken, Window

_CHUNK = struct.Struct(">I4s")


def png(window: Window) -> int:
    """Chunks up to IEND, with their checksums (W3C, Portable Network Graphics Specification, 5.3)."""
    at = 8
    while True:
        window.resume = at  # what comes before has the right checksums
        window.require(at + 12)
        size: int
        size, kind = _CHUNK.unpack_from(window.buffer, at)
        if not kind.isalpha():
            raise Broken(f"cut short before byte {at}")
        end = at + 12 + size
        if kind == b"eXIf":
            window.inner.add(at + 8)
        check(window, at if kind in (b"IDAT", b"fdAT") else end, end)
        if zlib.crc32(window.buffer[at + 4 : end - 4]) != int.from_bytes(window.buffer[end - 4 : end], "big"):
            raise Broken(f"cut short or changed: its chunk {kind.decode()} at byte {at} has another checksum")
        if kind == b"IEND":
            return end
        at = end


def gif(window: Window) -> int:
    """Blocks up to the trailer (CompuServe, GIF89a Specification, appendix A)."""
    start, at = 6, 13 + _color_table(window.get(10, 1)[0])
    while True:
        check(window, start, at)
        introducer = window.get(at, 1)
        if introducer == b";":
            return at + 1
        if introducer not in (b",", b"!"):
            raise Broken(f"cut short before byte {at}")
        start = at
        at += 2 if introducer == b"!" else 11 + _color_table(window.get(at + 9, 1)[0])
        while size := window.get(at, 1)[0]:
            at += 1 + size
        at += 1


def _color_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def bmp(window: Window) -> int:
    """The size according to the headers (BITMAPFILEHEADER, BITMAPINFOHEADER). The format has no checksum."""
    told, pixels, header = window.little(2, 4), window.little(10, 4), window.little(14, 4)
    window.allow(told)
    wide = 4 if header > 12 else 2
    columns, rows = window.little(18, wide), window.little(18 + wide, wide)
    depth, packing = window.little(20 + 2 * wide, 2), window.little(30, 4) if header > 12 else 0
    rows = min(rows, (1 << 8 * wide) - rows)  # a negative height means top-down
    raster = (columns * depth + 31) // 32 * 4 * rows if packing in (0, 3, 6) else window.little(34, 4)
    size = max(told, pixels + raster)
    if not 26 <= pixels < size or not raster:
        raise Broken("a BMP whose header does not tell its size")
    check(window, 14, size)
    return size


def webp(window: Window) -> int:
    """The chunks of a RIFF container (RFC 9649, section 2.3)."""
    end, at = 8 + window.little(4, 4), 12
    while at < end:
        kind, after = window.get(at, 4), at + 8 + window.little(at + 4, 4)
        if after > end or not kind.isascii():
            raise Broken(f"cut short before byte {at}")
        if kind == b"EXIF":
            window.inner |= {at + 8, at + 14}
        if kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF"):
            check(window, at, after)
        at = after + (after & 1)
        check(window, after, at)
    window.require(end)
    return end


_SPACE = rb"\s*(?:#[^\r\n]{0,1024}[\r\n]\s*)*"
_WORD, _BIT = re.compile(_SPACE + rb"(\d{0,9})"), re.compile(_SPACE + rb"([01]?)")
_MANY = 256
_WORDS = re.compile(rb"(?:%s\d{1,9}(?=[\s#])){%d}" % (_SPACE, _MANY))
_BITS = re.compile(rb"(?:%s[01]){%d}" % (_SPACE, _MANY))
"""Several numbers are matched at once, if they are available: one at a time takes ten times as long."""


def pnm(window: Window) -> int:
    """A header of numbers, then the raster (Netpbm's man pages pbm, pgm, ppm): P1 to P3 are text, P4 to P6 binary."""
    kind = int(window.get(1, 1))
    bitmap, channels = kind in (1, 4), 3 if kind in (3, 6) else 1
    columns, at = _word(window, 2)
    rows, at = _word(window, at)
    largest, at = (1, at) if bitmap else _word(window, at)
    if not (columns and rows and 0 < largest < 1 << 16 and window.get(at, 1).isspace()):
        raise Broken("a PNM header that makes no sense")
    if rows * columns > MAX_PIXELS:
        raise Broken(f"{columns}x{rows} pixels, more than {MAX_PIXELS}")
    if kind > 3:
        row = (columns + 7) // 8 if bitmap else columns * channels * (1 if largest < 256 else 2)
        check(window, at + 1, at + 1 + rows * row)
        return at + 1 + rows * row
    window.allow(at + rows * columns * channels)
    return _skip_words(window, at, rows * columns * channels, bitmap)


def _skip_words(window: Window, at: int, count: int, bitmap: bool) -> int:
    """The end of the last of ``count`` numbers; in a bitmap, of ``count`` bits."""
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
    if not bitmap and not window.buffer[at : at + 1].strip() == b"":
        raise Broken(f"cut short after {at} bytes")
    return at


def _word(window: Window, at: int, pattern: re.Pattern[bytes] = _WORD) -> tuple[int, int]:
    """The number after white space and comments, and its end: the first byte that is not a digit. A bit is one digit long."""
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


def pam(window: Window) -> int:
    """Header lines up to ENDHDR, then the raster (Netpbm's man page pam)."""
    match = None
    while not (match := HEADER_END.search(window.buffer, 0, MAX_HEADER)):
        if len(window.buffer) >= MAX_HEADER:
            raise Broken("a PAM header that makes no sense")
        window.require(len(window.buffer) + 1)
    header = read_header(bytes(window.buffer[: match.end()]))
    if header is None:
        raise Broken("a PAM header that makes no sense")
    if header.columns * header.rows > MAX_PIXELS:
        raise Broken(f"{header.columns}x{header.rows} pixels, more than {MAX_PIXELS}")
    end = match.end() + header.raster
    check(window, match.end(), end)
    return end
