"""Checks what an image declares before its pixels, before Pillow reads it: a few bytes can make Pillow allocate gigabytes.

Pillow allocates a WebP's canvas when it opens one. It copies the bytes of every TIFF and EXIF tag, though all tags may refer to
the same bytes. It concatenates a GIF's comment in quadratic time.
"""

from __future__ import annotations

import struct

from ..errors import InputError

MAX_PIXELS = 1 << 24
"""The largest tile of a TIFF and the largest canvas of a WebP. Decoding holds several copies of them."""
MAX_METADATA = 1 << 20
MAX_VALUES = 1 << 17
"""The maximum number of a tag's values that Pillow converts to Python numbers: 65,536 tiles of 16 x 16 are 2^24 pixels."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_BYTES = (1, 2, 6, 7)
_TILE = (322, 323)


def check(data: bytes) -> None:
    """Raises :class:`InputError`, which names no file, if the image in ``data`` declares more than it contains."""
    try:
        if data[:2] in (b"II", b"MM"):
            _directory(data)
        elif data[:2] == b"\xff\xd8":
            _jpeg(data)
        elif data[:3] == b"GIF":
            _gif(data)
        elif data[:4] == b"RIFF":
            _webp(data)
    except (struct.error, IndexError):
        raise InputError("cut short; give a whole file") from None


def check_exif(data: bytes) -> None:
    """As :func:`check`, for EXIF from any format."""
    data = data.removeprefix(b"Exif\0\0")
    _check_size(data)
    if data[:2] in (b"II", b"MM"):
        try:
            _directory(data)
        except struct.error:
            raise InputError("has EXIF that is cut short; save it without") from None


def _check_size(exif: bytes | bytearray) -> None:
    if len(exif) > MAX_METADATA:
        raise InputError(f"has {len(exif)} bytes of EXIF, over {MAX_METADATA >> 20} MiB; save it without")


def _directory(data: bytes) -> None:
    """The first directory of a TIFF (TIFF 6.0, section 2). Its tags may not refer to more bytes than the file has."""
    order = "<" if data[:2] == b"II" else ">"
    magic, start = struct.unpack_from(order + "HI", data, 2)
    if magic != 42:
        raise InputError("a TIFF of another kind, such as BigTIFF; save it as plain TIFF")
    (count,) = struct.unpack_from(order + "H", data, start)
    referred, tile = 0, 1
    for number in range(count):
        tag, kind, values, value = struct.unpack_from(order + "HHII", data, start + 2 + 12 * number)
        size = values * _SIZES.get(kind, 1)
        referred += size if size > 4 else 0
        if kind not in _BYTES and values > MAX_VALUES:
            raise InputError(f"has {values} values in its tag {tag}, over {MAX_VALUES}; save it again")
        if tag in _TILE:
            tile *= value if kind == 4 or order == "<" else value >> 16
    if referred > len(data):
        raise InputError("has tags that declare more bytes than it holds; save it again")
    if tile > MAX_PIXELS:
        raise InputError(f"has tiles of {tile} pixels, over {MAX_PIXELS}; save it in strips")


def _jpeg(data: bytes) -> None:
    """The segments before the pixels (ITU-T T.81, annex B). EXIF in several segments is joined, as Pillow does."""
    at, exif = 2, bytearray()
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF or 0xD0 <= data[at + 1] <= 0xD8:
            at += 1 if data[at + 1] == 0xFF else 2
            continue
        (size,) = struct.unpack_from(">H", data, at + 2)
        segment = data[at + 4 : at + 2 + size]
        if data[at + 1] == 0xE1 and segment[:6] == b"Exif\0\0":
            exif += segment[6:] if exif else segment
            _check_size(exif)
        elif data[at + 1] == 0xE2 and segment[:4] == b"MPF\0":
            check_exif(segment[4:])
        at += 2 + size
    check_exif(bytes(exif))


def _gif(data: bytes) -> None:
    """The extensions before the first frame (CompuServe, GIF89a Specification)."""
    at = start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[at] == 0x21:
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
        if at - start > MAX_METADATA:
            raise InputError(f"has over {MAX_METADATA >> 20} MiB of comments; save it without")


def _webp(data: bytes) -> None:
    """The canvas (RFC 9649, section 2.7), and EXIF."""
    kind, start = data[12:16], data[20:30]
    if kind == b"VP8X":
        columns, rows = (1 + int.from_bytes(start[at : at + 3], "little") for at in (4, 7))
    elif kind == b"VP8L":
        bits = int.from_bytes(start[1:5], "little")
        columns, rows = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        columns, rows = (int.from_bytes(start[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    if columns * rows > MAX_PIXELS:
        raise InputError(f"{columns:,} x {rows:,} pixels; {MAX_PIXELS:,} pixels are the limit, so scale it down")
    at = 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"EXIF":
            check_exif(data[at + 8 : at + 8 + size])
        at += 8 + size + (size & 1)
