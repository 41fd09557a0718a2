"""PAM images, which Pillow does not read.

Source: https://netpbm.sourceforge.net/doc/pam.html.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .formats import MAX_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

HEADER_END = re.compile(rb"[\r\n]ENDHDR[ \t\r]*\n")
MAX_HEADER = 4096
_LINE = re.compile(rb"(?:(WIDTH|HEIGHT|DEPTH|MAXVAL)[ \t]+(\d{1,9})|TUPLTYPE[ \t].*|#.*|)\s*")
_PIECE = 1 << 20
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class Header(NamedTuple):
    """``size`` is the size of the header in bytes, and ``largest`` the value of white."""

    columns: int
    rows: int
    depth: int
    largest: int
    size: int

    @property
    def raster(self) -> int:
        """The size of the pixels in bytes."""
        return self.columns * self.rows * self.depth * (1 if self.largest < 256 else 2)


def read_header(data: bytes) -> Header | None:
    """The header at the start of ``data``. None if there is no valid header."""
    end = HEADER_END.search(data, 0, MAX_HEADER)
    if not data.startswith(b"P7") or not end:
        return None
    lines = [_LINE.fullmatch(line) for line in data[: end.start()].split(b"\n")[1:]]
    told = {line[1]: int(line[2]) for line in lines if line and line[1]}
    if None in lines or sum(bool(line and line[1]) for line in lines) != len(told):
        return None
    columns, rows, depth, largest = (told.get(name, 0) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    makes_sense = columns and rows and 0 < depth < 1 << 16 and 0 < largest < 1 << 16
    return Header(columns, rows, depth, largest, end.end()) if makes_sense else None


def image(data: bytes) -> Image:
    """The image in ``data``, 8 bits per channel: gray or color, with or without alpha, according to its depth.

    Raises :class:`InputError`, which names no file.
    """
    from PIL import Image

    header = read_header(data)
    if header is None:
        raise InputError("a PAM header that makes no sense; save it again")
    if header.columns * header.rows > MAX_PIXELS:
        raise InputError(f"{header.columns:,} x {header.rows:,} pixels; {MAX_PIXELS:,} pixels are the limit, so scale it down")
    if header.depth not in _MODES:
        raise InputError(f"a PAM of depth {header.depth}; give 1 to 4: gray or color, with alpha or without")
    if len(data) < header.size + header.raster:
        raise InputError(f"cut short after {len(data)} bytes; give a whole file")
    kind = np.dtype(np.uint8 if header.largest < 256 else ">u2")
    values = np.frombuffer(data, kind, header.rows * header.columns * header.depth, header.size)
    pixels = values.tobytes() if header.largest == 255 else _in_bytes(values, header.largest)
    return Image.frombytes(_MODES[header.depth], (header.columns, header.rows), pixels)


def _in_bytes(values: NDArray[Any], largest: int) -> bytes:
    """``values`` of 0 to ``largest`` as bytes, one piece at a time: intermediate values take four times the memory."""
    scaled = bytearray()
    for at in range(0, len(values), _PIECE):
        piece = np.minimum(values[at : at + _PIECE], largest).astype(np.uint32)
        scaled += ((piece * 255 + largest // 2) // largest).astype(np.uint8).tobytes()
    return bytes(scaled)
