"""The image formats that are read, and the limits of an image."""

from __future__ import annotations

FORMATS = {"PNG": "PNG", "JPEG": "JPEG", "GIF": "GIF", "BMP": "BMP", "WebP": "WEBP", "PNM": "PPM", "TIFF": "TIFF"}
"""What people call a format, and what Pillow does. None makes Pillow start another program, as EPS does."""
PILLOW_NAMES = list(FORMATS.values())
NAMES = " or ".join(", ".join(FORMATS).rsplit(", ", 1))
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})
"""What names of image files end with."""

MAX_PIXELS = 1 << 25
"""More than a camera needs that takes a picture of a digit; in gray, a byte each."""
MAX_BYTES = 64 << 20
"""Bytes of an encoded image: what bounds the memory that a stream takes."""
