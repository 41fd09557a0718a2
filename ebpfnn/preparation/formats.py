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
"""What people call a format, and what Pillow does, if it reads it. None makes Pillow start another program, as EPS does."""
PILLOW_NAMES = [name for name in FORMATS.values() if name]
NAMES = " or ".join(", ".join(FORMATS).rsplit(", ", 1))
_PORTABLE = {".pam", ".pbm", ".pgm", ".pnm", ".ppm"}
_JPEG_2000 = {".j2c", ".j2k", ".jp2", ".jpc"}
SUFFIXES = frozenset(
    {".apng", ".bmp", ".gif", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp", *_PORTABLE, *_JPEG_2000}
)
"""What names of image files end with."""

MAX_PIXELS = 1 << 25
"""More than a camera needs that takes a picture of a digit; in gray, a byte each."""
MAX_BYTES = 64 << 20
"""Bytes of an encoded image: what bounds the memory that a stream takes."""
