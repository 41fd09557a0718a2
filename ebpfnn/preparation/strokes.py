"""Gives strokes the width that they have in MNIST: measures it, and scales a glyph down without losing its strokes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .ground import Gray

LEAST, MOST = 1.7, 3.8
"""The widths of strokes, in pixels of a sample of 28 x 28, that are left as they are: four fifths of MNIST's digits lie
between. Thinner ones turn gray where they are scaled down."""
FINE = 4
"""Strokes are widened at a resolution this many times that of a sample."""
_SOFT, _HARD = 0.25, 0.65
"""When strokes are widened, ink up to the first value is none, and from the second on full: enlarging blurs the edges."""
_WIDEST = 0.5
"""The maximum width of a stroke as a fraction of its glyph. A blot cannot be made narrower."""

Pixels = NDArray[np.uint8]


def width(ink: Gray) -> float:
    """The mean stroke width in pixels, for ink 0..1, float32 [rows, columns]. 0 if there is none.

    A stroke of width w and length l has w * l of ink. Along its two sides, 2 * l in total, the ink changes between none and
    full.
    """
    edged = np.pad(ink, 1)
    down, across = edged[1:, :-1] - edged[:-1, :-1], edged[:-1, 1:] - edged[:-1, :-1]
    change = float(np.sqrt(down * down + across * across).sum())
    return 2 * float(ink.sum()) / change if change else 0.0


def growth(ink: Gray, size: tuple[float, float], unit: float) -> float:
    """How many pixels each side of a stroke has to grow if ``ink`` is scaled to fit ``size``, (rows, columns).

    ``unit`` is the number of pixels there for one pixel of a 28 x 28 sample. The result is negative if strokes have to become
    narrower, and 0 if they are as wide as MNIST's. Growth needs room, for which the glyph is scaled down further: with s pixels
    for its longer side and w of them for the stroke's width, a stroke grown by g has (s - 2 g) w + 2 g. Strokes are not
    measured at a finer resolution than they are drawn, since noise has averaged out there.
    """
    longer = _scale(ink, size) * max(ink.shape)
    seen = _resized(ink, min(FINE * longer / max(ink.shape), 1))
    share = min(width(seen) / max(seen.shape), _WIDEST)
    wanted = min(max(share * longer, LEAST * unit), MOST * unit)
    return float((wanted - share * longer) / (2 * (1 - share)))


def drawn(ink: Gray, size: tuple[float, float], grown: float) -> Pixels:
    """``ink`` 0..1 with its strokes grown by ``grown``, scaled to fit ``size`` (rows, columns) with its aspect ratio kept."""
    scale = _scale(ink, size)
    radius = round(grown * FINE)
    if not radius:
        return _bytes(_resized(ink, scale))
    scale *= 1 - 2 * radius / FINE / (scale * max(ink.shape))
    fine = np.clip((_resized(ink, scale * FINE) - _SOFT) / (_HARD - _SOFT), 0, 1)
    outer = max(radius, 0)
    rows, columns = (-(-(side + 2 * outer) // FINE) * FINE for side in fine.shape)
    edges = ((outer, rows - fine.shape[0] - outer), (outer, columns - fine.shape[1] - outer))
    return _bytes(_resized(_spread(np.pad(fine, edges), radius), 1 / FINE))


def _scale(ink: Gray, size: tuple[float, float]) -> float:
    rows, columns = ink.shape
    return min(size[0] / float(rows), size[1] / float(columns))


def _resized(ink: Gray, scale: float) -> Gray:
    """Scales. If the result is smaller, each new pixel is the mean of the pixels that it covers."""
    rows, columns = (max(1, round(side * scale)) for side in ink.shape)
    way = Image.Resampling.BOX if scale <= 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(ink).resize((columns, rows), way))


def _bytes(ink: Gray) -> Pixels:
    levels: Pixels = np.rint(np.clip(ink, 0, 1) * 255).astype(np.uint8)
    return levels


def _spread(ink: Gray, radius: int) -> Gray:
    """The strongest ink within ``radius`` pixels, or for a negative radius the weakest, over a disk at each pixel."""
    if radius < 0:
        weakest: Gray = 1 - _strongest(1 - ink, -radius, outside=1)
        return weakest
    return _strongest(ink, radius, outside=0)


def _strongest(values: Gray, radius: int, *, outside: int) -> Gray:
    rows, columns = values.shape
    edged = np.pad(values, radius, constant_values=outside)
    found: Gray = values.copy()
    for down in range(-radius, radius + 1):
        line = edged[radius + down : radius + down + rows]
        reach = min(int(np.sqrt((radius + 0.5) ** 2 - down * down)), radius)
        for across in range(-reach, reach + 1):
            np.maximum(found, line[:, radius + across : radius + across + columns], out=found)
    return found
