"""Finds the ground that a glyph is drawn on (paper, a board, shadows) and removes it. The rest is ink."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

Gray = NDArray[np.float32]
"""Pixels or ink, float32 [rows, columns], 0..255."""

_WINDOW, _NARROW = 1 / 2, 1 / 3
"""The ground is looked for within this part of the picture's shorter side, and at least that of its longer one: wider than
strokes, narrower than shadows."""
_COARSE = 96
"""The longer side, in pixels, of the picture in which the ground is found. It changes slowly, and noise averages out."""
_STROKE = 1 / 8
"""If narrow parts decide the polarity, a stroke is narrower than this fraction of the picture's longer side."""
_CLEARLY = 0.4
"""One of two differences is clearly smaller if it is below this fraction of the other."""
_DARKEST = 32
"""A ground darker than this divides as if it were this bright, so that noise in dark parts does not become ink."""
_EXTREME = 0.2
"""The percentage of pixels at either end that is ignored for polarity: single hot pixels."""


def flattened(gray: Gray) -> Gray:
    """``gray`` minus the plane that fits its border best. Positive is lighter than the border, negative darker.

    The parts of the border that differ most are left out of the fit, since a stroke may touch the border.
    """
    rows, columns = gray.shape
    down, across = np.linspace(-1, 1, rows, dtype=np.float32), np.linspace(-1, 1, columns, dtype=np.float32)
    ends_down, ends_across = np.full(columns, 1, np.float32), np.full(rows, 1, np.float32)
    values = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    row = np.concatenate([-ends_down, ends_down, down, down])
    column = np.concatenate([across, across, -ends_across, ends_across])
    level, slope_down, slope_across = _robust_fit(np.stack([np.ones_like(row), row, column], axis=1), values)
    flat: Gray = gray - (level + slope_down * down[:, None] + slope_across * across[None, :])
    return flat


def dark_on_light(gray: Gray) -> bool:
    """Whether the ink is darker than its ground: the pixels that differ most from the border are ink.

    If the edge of a shadow differs from the border about as much, the narrow parts are ink.
    """
    flat = np.sort(flattened(gray), axis=None)
    skipped = int(flat.size * _EXTREME / 100)
    darker, lighter = -float(flat[skipped]), float(flat[-1 - skipped])
    if min(darker, lighter) < _CLEARLY * max(darker, lighter):
        return darker > lighter
    coarse = _coarse(gray)
    window = max(3, round(max(coarse.shape) * _STROKE)) | 1
    dark, light = (_closed(each, window) - each for each in (coarse, -coarse))
    return float(np.square(dark).sum()) > float(np.square(light).sum())


def ink(gray: Gray, *, dark: bool) -> Gray:
    """The strength of the ink, 0 on the ground and at most 255.

    A shadow weakens ink and paper by the same factor. Dark ink is therefore measured by the share of the light that it absorbs,
    light ink by the light that it adds.
    """
    light = gray if dark else 255 - gray
    flat = flattened(light)
    # A closing mistakes the dark end of a slope for ink, and without a slope the edge of a shadow. Ink is what both find.
    differs = np.minimum(_ground(light) - light, _ground(flat) - flat)
    taken: Gray = np.maximum(differs, 0)
    if dark:
        taken *= 255 / np.maximum(light + differs, _DARKEST)
    return np.minimum(taken, 255)


def _robust_fit(terms: Gray, values: Gray) -> Gray:
    """The factors of ``terms`` that fit ``values`` best, by least squares without outliers."""
    factors = np.array([np.median(values), 0, 0], np.float32)
    for _ in range(3):
        off = np.abs(values - terms @ factors)
        near = off <= max(3 * float(np.median(off)), 2)
        if near.all() and not off.any():
            break
        factors = np.linalg.lstsq(terms[near], values[near], rcond=None)[0]
    return factors


def _ground(light: Gray) -> Gray:
    """The ground under dark ink: a morphological closing, which fills everything narrower than its window."""
    coarse = _coarse(light)
    window = max(3, round(max(min(coarse.shape) * _WINDOW, max(coarse.shape) * _NARROW))) | 1
    closed = _closed(coarse, window)
    if coarse.shape == light.shape:
        return closed
    return np.asarray(Image.fromarray(closed).resize(light.shape[::-1], Image.Resampling.BILINEAR))


def _coarse(gray: Gray) -> Gray:
    rows, columns = gray.shape
    factor = -(-max(rows, columns) // _COARSE)
    size = (-(-columns // factor), -(-rows // factor))
    return np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BOX)) if factor > 1 else gray


def _closed(light: Gray, window: int) -> Gray:
    closed: Gray = -_highest(-_highest(light, window), window)
    return closed


def _highest(values: Gray, window: int) -> Gray:
    """The maximum in the ``window`` x ``window`` square around each pixel. Pixels beyond the edges are ignored."""
    for axis in (0, 1):
        width = [(window // 2, window // 2) if each == axis else (0, 0) for each in (0, 1)]
        edged = np.pad(values, width, constant_values=-np.inf)
        values = sliding_window_view(edged, window, axis=axis).max(axis=-1)
    return values
