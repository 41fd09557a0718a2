"""What looks like a sample of MNIST, and is therefore taken as it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_SIDE, _GLYPH = 28, 20
_OFF_CENTER = 0.8
"""How many pixels the center of mass may lie off the middle: MNIST's is put there to the nearest pixel."""
_SOFT = 0.2
"""The part of the ink that is not full. MNIST's strokes have more of it, a pencil of one pixel has none."""
_FULL = 230


def taken(pixels: Pixels, rows: int, columns: int, polarity: str) -> Pixels | None:
    """``pixels`` themselves, or inverted, where they look like a sample of MNIST with ``rows`` and ``columns``; or None."""
    if pixels.shape != (rows, columns):
        return None
    if polarity != "dark-on-light" and _looks(pixels):
        return pixels
    if polarity != "light-on-dark" and _looks(255 - pixels):
        return 255 - pixels
    return None


def center_of_mass(glyph: Pixels) -> tuple[float, float]:
    """The row and the column, counted from 0 at the first pixel's middle; the array's middle where nothing has mass."""
    down, across = glyph.sum(axis=1, dtype=np.float64), glyph.sum(axis=0, dtype=np.float64)
    mass = float(down.sum())
    if not mass:
        return glyph.shape[0] / 2, glyph.shape[1] / 2
    return float(down @ np.arange(len(down))) / mass, float(across @ np.arange(len(across))) / mass


def _looks(pixels: Pixels) -> bool:
    if pixels[0].any() or pixels[-1].any() or pixels[:, 0].any() or pixels[:, -1].any():
        return False
    down, across = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(down):
        return False
    rows, columns = pixels.shape
    fits = (down[-1] - down[0] + 1) / rows, (across[-1] - across[0] + 1) / columns
    if round(max(fits) * _SIDE) != _GLYPH:
        return False
    center = center_of_mass(pixels)
    if max(abs(center[0] * _SIDE / rows - _SIDE / 2), abs(center[1] * _SIDE / columns - _SIDE / 2)) > _OFF_CENTER:
        return False
    inked = pixels[pixels > 0]
    return bool(np.count_nonzero(inked < _FULL) >= _SOFT * len(inked))
