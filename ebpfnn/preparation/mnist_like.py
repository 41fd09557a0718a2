"""Recognizes pictures that look like samples of MNIST, which are used unchanged."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_SIDE, _GLYPH = 28, 20
_OFF_CENTER = 0.8
"""The maximum distance in pixels of the center of mass from the middle. MNIST centers it to the nearest pixel."""
_SOFT = 0.2
"""The minimum fraction of the ink that is not full. MNIST's strokes have more, a pencil of one pixel has none."""
_FULL = 230


def taken(pixels: Pixels, rows: int, columns: int, polarity: str) -> Pixels | None:
    """``pixels``, or their inverse, if they look like a sample of MNIST with ``rows`` and ``columns``. Else None."""
    if pixels.shape != (rows, columns):
        return None
    if polarity != "dark-on-light" and _looks(pixels):
        return pixels
    if polarity != "light-on-dark" and _looks(255 - pixels):
        return 255 - pixels
    return None


def center_of_mass(glyph: Pixels) -> tuple[float, float]:
    """The row and column of the center of mass, 0 at the center of the first pixel. The array's middle if it has no mass."""
    return _centers(glyph.sum(axis=1, dtype=np.float64), glyph.sum(axis=0, dtype=np.float64))


def _centers(down: NDArray[np.float64], across: NDArray[np.float64]) -> tuple[float, float]:
    """The centers, from sums of rows and columns."""
    mass = float(down.sum())
    if not mass:
        return len(down) / 2, len(across) / 2
    return float(down @ _counted(len(down))) / mass, float(across @ _counted(len(across))) / mass


@lru_cache(maxsize=64)
def _counted(size: int) -> NDArray[np.float64]:
    return np.arange(size, dtype=np.float64)


def _looks(pixels: Pixels) -> bool:
    """Sums of rows and columns are checked first: they decide most cases and are fast, for thousands of images per second."""
    down, across = pixels.sum(axis=1, dtype=np.float64), pixels.sum(axis=0, dtype=np.float64)
    if down[0] or down[-1] or across[0] or across[-1]:
        return False
    inked_rows, inked_columns = down.nonzero()[0], across.nonzero()[0]
    if not len(inked_rows):
        return False
    rows, columns = pixels.shape
    fits = (inked_rows[-1] - inked_rows[0] + 1) / rows, (inked_columns[-1] - inked_columns[0] + 1) / columns
    if round(max(fits) * _SIDE) != _GLYPH:
        return False
    center = _centers(down, across)
    if max(abs(center[0] * _SIDE / rows - _SIDE / 2), abs(center[1] * _SIDE / columns - _SIDE / 2)) > _OFF_CENTER:
        return False
    inked, full = np.count_nonzero(pixels), np.count_nonzero(pixels >= _FULL)
    return bool(inked - full >= _SOFT * inked)
