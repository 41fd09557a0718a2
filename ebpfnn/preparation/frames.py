"""Removes frames and panels around a glyph: axes of a plot, a border line, a dark square on a white page."""

from __future__ import annotations

import numpy as np

from .components import Box, Mask, components
from .ground import Gray, flattened

_FAINTEST = 0.3
"""A pixel is not ground if it differs from the border by this fraction of the maximum difference."""
_LEAST = 8
"""A frame differs by at least so many gray levels, and has at least so many pixels per side."""
_SHARE = 1 / 3
"""A frame has at least this fraction of the picture's shorter side. Smaller objects may be digits."""
_NEAR = 0.05
"""The distance from a side, as a fraction of the frame's size, that counts as near: ticks stick out of a plot's axes."""
_COVERED = 0.85
"""The fraction of each side that a frame covers. A digit covers less, since it is round or narrow somewhere."""
_ON_EDGE = 2
"""The maximum number of a frame's sides on the picture's edge. A shadow over a part of the picture has three."""
_EMPTY = 0.005
"""A frame in which a smaller fraction of the inside differs is empty."""
_MARGIN = 0.01
"""The fraction of a picture that is left out at each side: the edge of a scan or of a screenshot."""
_DEEPEST = 4
"""The maximum number of nested frames that are removed."""


def inside(gray: Gray) -> Gray:
    """The part of ``gray`` inside the innermost frame or panel, without a hundredth at each side of the picture."""
    rows, columns = (int(side * _MARGIN) for side in gray.shape)
    gray = gray[rows : gray.shape[0] - rows, columns : gray.shape[1] - columns]
    for _ in range(_DEEPEST):
        off = np.abs(flattened(gray))
        found = _framed(off > max(float(off.max()) * _FAINTEST, _LEAST))
        if found is None:
            break
        gray = gray[found.slices]
    return gray


def _framed(mask: Mask) -> Box | None:
    """The inside of the largest frame in ``mask`` that contains something."""
    pieces = components(mask)
    boxes = pieces.boxes
    least = max(_SHARE * min(mask.shape), _LEAST)
    large = [
        number
        for number, box in enumerate(boxes)
        if min(box.height, box.width) >= least and box.sides_on_edge(mask.shape) <= _ON_EDGE
    ]
    for number in sorted(large, key=lambda each: boxes[each].area, reverse=True):
        inner = _inner(pieces.mask(np.arange(pieces.count) == number)[boxes[number].slices])
        if inner is None:
            continue
        found = inner.moved(boxes[number].top, boxes[number].left)
        if _EMPTY < float(mask[found.slices].mean()) < 1 - _EMPTY:
            return found
    return None


def _inner(piece: Mask) -> Box | None:
    """The part inside the four sides of ``piece``, which fills its array. None if it does not have four sides."""
    sides = (piece, piece.T, piece[::-1], piece.T[::-1])
    if not all(_covers(side) for side in sides):
        return None
    filled = float(piece.mean()) > 0.5
    top, left, bottom, right = (_thickness(side, filled=filled) for side in sides)
    box = Box(top, left, piece.shape[0] - bottom, piece.shape[1] - right)
    return box if min(box.height, box.width) >= _LEAST else None


def _covers(side: Mask) -> bool:
    return float(side[: _near(side)].any(axis=0).mean()) >= _COVERED


def _thickness(side: Mask, *, filled: bool) -> int:
    """The number of lines to cut, from the first line on: a frame and its soft edge, or the edge of a panel."""
    if filled:
        return max(1, round(len(side) * 0.02))
    lines = np.flatnonzero(side[: 2 * _near(side)].mean(axis=1) > 0.5)
    return (int(lines[-1]) if len(lines) else _near(side)) + 2


def _near(side: Mask) -> int:
    return max(1, round(len(side) * _NEAR))
