"""Making any picture of a glyph look as MNIST's do: light ink on black, of MNIST's size, at MNIST's place.

MNIST's own way (Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits"): a glyph is scaled to fit
20 x 20 pixels with its aspect ratio kept, then put into 28 x 28 so that its center of mass is at the center.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

GLYPH = 20 / 28
"""The part of a side that a glyph's longer side fills."""
FAINTEST = 1 / 8
"""Ink that is fainter than this part of the strongest does not count where the glyph's extent is measured: up to there MNIST's
own digits measure 20 pixels, and what JPEG and smoothing leave around strokes is mostly fainter."""
_FULL = 240
"""Ink this strong is not stretched: what is sound already stays as it is."""

Pixels = NDArray[np.uint8]


def fit(pixels: Pixels, shape: tuple[int, int]) -> tuple[Pixels, tuple[str, ...]]:
    """``pixels``, uint8 [rows, columns], as uint8 of ``shape``, and what was done to them.

    A picture of ``shape`` already is taken pixel for pixel; only its polarity is seen to.
    """
    notes: list[str] = []
    if pixels.min() == pixels.max():
        return np.zeros(shape, np.uint8), ("blank",)
    if _dark_on_light(pixels):
        pixels = 255 - pixels
        notes.append("inverted (dark on light)")
    if pixels.shape == shape:
        return np.ascontiguousarray(pixels), tuple(notes)
    ink = _without_ground(_reduced(pixels, shape), notes)
    if not ink.any():
        return np.zeros(shape, np.uint8), ("blank",)
    glyph = _scaled(_cropped(ink), shape)
    rows, columns = pixels.shape
    notes.append(f"{columns}x{rows} cropped to ink, scaled to {glyph.shape[1]}x{glyph.shape[0]}, centered")
    return _centered(glyph, shape), tuple(notes)


def _reduced(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """Not much larger than a glyph needs, so that a photograph costs no more than a scan, and noise averages out."""
    factor = max(pixels.shape) // (16 * max(shape))
    return pixels if factor < 2 else np.asarray(Image.fromarray(pixels).reduce(factor))


def _border(pixels: Pixels) -> Pixels:
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def _dark_on_light(pixels: Pixels) -> bool:
    return float(np.median(_border(pixels))) > (int(pixels.min()) + int(pixels.max())) / 2


def _without_ground(pixels: Pixels, notes: list[str]) -> Pixels:
    """Ink stretched to 0..255 on a ground of 0.

    The ground's level is the median of the border, and its noise the border's median deviation from it: medians, because a
    stroke may touch the border. A noisy picture is smoothed first, so that no speckle counts as ink.
    """
    ground, noise = _level(pixels)
    if noise:
        pixels = np.asarray(Image.fromarray(pixels).filter(ImageFilter.MedianFilter(5)))
        ground, noise = _level(pixels)
    top = float(pixels.max())
    floor = min(ground + 4 * noise, (ground + top) / 2)
    if floor == 0 and top >= _FULL:
        return pixels
    notes.append(f"contrast stretched from {floor:.0f}..{top:.0f}")
    table = np.clip((np.arange(256) - floor) * 255 / max(top - floor, 1), 0, 255)
    stretched: Pixels = np.rint(table).astype(np.uint8)[pixels]
    return stretched


def _level(pixels: Pixels) -> tuple[float, float]:
    border = _border(pixels)
    ground = float(np.median(border))
    return ground, float(np.median(np.abs(border - ground))) * 1.4826


def _cropped(ink: Pixels) -> Pixels:
    mask = ink > float(ink.max()) * FAINTEST
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled(glyph: Pixels, shape: tuple[int, int]) -> Pixels:
    """Scaled to fit a glyph's part of ``shape``, each new pixel the mean of those it covers."""
    rows, columns = glyph.shape
    scale = min(shape[0] * GLYPH / rows, shape[1] * GLYPH / columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(glyph).resize(size, way))


def _centered(glyph: Pixels, shape: tuple[int, int]) -> Pixels:
    """In the middle of ``shape`` by center of mass, as near as whole pixels and the edges allow."""
    canvas = np.zeros(shape, np.uint8)
    weights = glyph.astype(np.float64)
    mass = max(weights.sum(), 1.0)
    corner = []
    for axis, size in enumerate(glyph.shape):
        center = float((weights.sum(axis=1 - axis) * np.arange(size)).sum() / mass)
        corner.append(min(max(round(shape[axis] / 2 - center), 0), shape[axis] - size))
    canvas[corner[0] : corner[0] + glyph.shape[0], corner[1] : corner[1] + glyph.shape[1]] = glyph
    return canvas
