"""From gray levels to ink: removes frames, ground and noise, and finds the connected components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import frames
from .components import Box, Components, Mask, components
from .ground import Gray, dark_on_light, ink
from .pieces import Digit

_SURE = 0.4
"""Ink of this fraction of the full strength forms pieces. Fainter ink counts only beside such ink, as a soft edge."""
_FAINT = 0.2
"""Ink below this part does not count where a digit's extent is measured: MNIST's digits then measure 20 pixels, and what
smoothing and JPEG leave around strokes is fainter."""
_FULL = 0.8
"""Ink from this part on is full: a stroke that was scaled down before has few pixels that are, and more that nearly are."""
_WEAKEST = 8
"""Gray levels by which the strongest ink has to differ from the ground."""
_NOISE = 3.0
"""The number of standard deviations of the noise that do not count as ink."""
_CLEAR = 7.0
"""The minimum difference of the ink in standard deviations. Noise alone can reach less."""
_LARGE, _NOISY = 150, 0.06
"""A picture with so many pixels per side is smoothed if the noise exceeds this fraction of the strongest ink."""
_EDGE = 20
"""The soft edge of a stroke is at most this fraction of a digit's size: a pixel of a sample."""


@dataclass(frozen=True)
class Inked:
    """``strength``, float32 [rows, columns], 0 on the ground and 1 at full ink; its components; and the steps so far."""

    strength: Gray
    pieces: Components
    notes: tuple[str, ...]

    def of(self, digit: Digit, *, whole: bool = False) -> Gray:
        """The ink of only ``digit``, cropped to it unless the ``whole`` picture is requested."""
        wanted = np.zeros(self.pieces.count, bool)
        wanted[list(digit.pieces)] = True
        around = digit.box.grown(1 + digit.box.longer // _EDGE, self.strength.shape)
        near = _within(self.pieces.mask(wanted)[around.slices], 1 + digit.box.longer // _EDGE)
        cut = self.strength[around.slices] * near
        alone: Gray = np.minimum(cut / _FULL, 1)
        if not whole:
            return alone[_extent(cut > _FAINT).slices]
        canvas = np.zeros_like(self.strength)
        canvas[around.slices] = alone
        return canvas


def found(gray: Gray, *, dark: bool | None, even: bool, frames_too: bool) -> Inked:
    """The ink in ``gray``, 0..255. ``dark``: dark on light, or light on dark; None detects it.

    An ``even`` ground is black, or white under dark ink, and is not removed. With ``frames_too`` frames count as ink.
    """
    notes = []
    within = gray if frames_too else frames.inside(gray)
    if within.shape[0] < 0.95 * gray.shape[0] or within.shape[1] < 0.95 * gray.shape[1]:
        notes.append("frame dropped")
    if dark is None:
        dark = dark_on_light(within)
    if dark:
        notes.append("inverted (dark on light)")
    strong = (255 - within if dark else within) if even else ink(within, dark=dark)
    if max(strong.shape) >= _LARGE and _noise(strong)[1] > _NOISY * float(strong.max()):
        strong = _smoothed(strong)
        notes.append("smoothed")
    strength = _strength(strong)
    return Inked(strength, components(strength > _SURE), tuple(notes))


def _strength(strong: Gray) -> Gray:
    """0 up to the noise level, 1 at the usual strength of ink: that of the upper quarter, since the strongest may be dirt."""
    ground, noise = _noise(strong)
    top = float(strong.max())
    floor = min(ground + _NOISE * noise, (ground + top) / 2)
    if top - ground < max(_WEAKEST, _CLEAR * noise):
        return np.zeros_like(strong)
    full = float(np.percentile(strong[strong > floor + (top - floor) / 4], 75))
    strength: Gray = np.clip((strong - floor) / (full - floor), 0, 1)
    return strength


def _smoothed(strong: Gray) -> Gray:
    """Each pixel as a weighted mean of the 7 x 7 pixels around it, nearly a Gaussian with a deviation of two pixels."""
    weights = np.array([1, 4, 8, 10, 8, 4, 1], np.float32) / 36
    for _ in range(2):
        edged = np.pad(strong, ((3, 3), (0, 0)), mode="edge")
        strong = sum((weight * edged[place : place + len(strong)] for place, weight in enumerate(weights)), np.float32(0)).T
    return strong


def _noise(strong: Gray) -> tuple[float, float]:
    """The level and standard deviation of the ground, from two quantiles that lie in it even if half of the pixels are ink."""
    low, high = (float(each) for each in np.percentile(strong, (10, 30)))
    deviation = (high - low) / (1.2816 - 0.5244)
    return high + 0.5244 * deviation, deviation


def _extent(mask: Mask) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _within(mask: Mask, reach: int) -> Mask:
    """The pixels with a pixel of ``mask`` in the square of ``reach`` around them. The time does not depend on ``reach``."""
    for _ in range(2):
        counts = np.cumsum(np.pad(mask, ((reach + 1, reach), (0, 0))), axis=0, dtype=np.int32)
        mask = (counts[2 * reach + 1 :] > counts[: -2 * reach - 1]).T
    return mask
