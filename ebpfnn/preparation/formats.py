"""The image formats that can be read, and the limits of an image."""

from __future__ import annotations

FORMATS = {
    "PNG": "PNG",
    "JPEG": "JPEG",
    "GIF": "GIF",
    "BMP": "BMP",
    "WebP": "WEBP",
    "PNM": "PPM",
    "PAM": None,
    "TIFF": "TIFF",
    "JPEG 2000": "JPEG2000",
}
"""The usual name of a format, and Pillow's name, if Pillow reads it. None of them starts another program, as EPS does."""
PILLOW_NAMES = [name for name in FORMATS.values() if name]
NAMES = " or ".join(", ".join(FORMATS).rsplit(", ", 1))
_PORTABLE = {".pam", ".pbm", ".pgm", ".pnm", ".ppm"}
_JPEG_2000 = {".j2c", ".j2k", ".jp2", ".jpc"}
SUFFIXES = frozenset(
    {".apng", ".bmp", ".gif", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp", *_PORTABLE, *_JPEG_2000}
)
"""The suffixes of image files."""

MAX_PIXELS = 1 << 25
"""More than a camera needs that takes a picture of a digit; in gray, a byte each."""
MAX_BYTES = 64 << 20
"""The maximum size of an encoded image in bytes. It bounds the memory for a stream."""
