"""Finds the end of a JPEG 2000 image: a file of boxes, or a bare codestream."""

from __future__ import annotations

import re

from .starts import OVERLAP, check, check_end
from .window import Broken, Window

_END = re.compile(rb"\xff\xd9")
_LEAST = 16
"""The minimum number of bytes after a marker segment of the main header: a tile-part and EOC."""


def jpeg2000(window: Window) -> int:
    """Boxes up to the one that contains the codestream (ITU-T T.800, annex I), or markers up to EOC (annex A)."""
    if window.get(0, 2) == b"\xff\x4f":
        return _codestream(window, 0)
    at = 12
    while True:
        size, kind, header = window.big(at, 4), window.get(at + 4, 4), 8
        if size == 1:
            size, header = window.big(at + 8, 8), 16
        if kind == b"jp2c":
            if window.get(at + header, 2) == b"\xff\x4f":
                window.inner.add(at + header)
            end = _codestream(window, at + header)
            if size and at + size != end:
                raise Broken(f"cut short: its codestream ends at byte {end} and not at {at + size}")
            return end
        if size < header or not kind.isascii() or kind == b"jP  ":
            raise Broken(f"cut short before byte {at}")
        check(window, at + size if kind == b"uuid" else at + 1, at + size)
        check_end(window, at + size)
        at += size


def _codestream(window: Window, at: int) -> int:
    if window.get(at, 4) != b"\xff\x4f\xff\x51":
        raise Broken(f"cut short before byte {at}")
    at += 2
    while True:
        marker = window.big(at, 2)
        if marker == 0xFFD9:
            return at + 2
        if not 0xFF4F < marker < 0xFF94:
            raise Broken(f"cut short before byte {at}")
        size = window.big(at + 6, 4) if marker == 0xFF90 else 2 + window.big(at + 2, 2)
        if marker == 0xFF90 and size == 0:  # the last tile-part extends to the EOC marker, which cannot occur in its data
            found = window.find(_END, at + 12, OVERLAP)
            check(window, at + 2, found)
            return found + 2
        if size < 2 or (marker == 0xFF90 and size < 14):
            raise Broken(f"cut short before byte {at}")
        check(window, at + 2, at + size)
        window.require(at + size + 2 if marker == 0xFF90 else at + size + _LEAST)
        check_end(window, at + size)
        at += size
