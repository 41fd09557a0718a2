"""Pictures of any size as samples: scaled, in gray or color according to the network's channels. Nothing is guessed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..network.layers import Shape
from .items import Picture

FITS = ("stretch", "crop")


def resized(picture: Picture, shape: Shape, fit: str) -> NDArray[np.uint8]:
    """``picture`` as uint8 of ``shape``: (rows, columns), or 1 or 3 channels of them.

    Each new pixel is the mean of the pixels that it covers. ``fit`` says how another aspect ratio is handled: "stretch" ignores
    it, and "crop" keeps the middle. Raises :class:`InputError` for a picture that cannot be decoded.
    """
    colored = len(shape) == 3 and shape[0] == 3
    pixels = picture.color() if colored else picture.gray()
    scaled = _scaled(_middle(pixels, shape) if fit == "crop" else pixels, (shape[-1], shape[-2]))
    return np.ascontiguousarray(scaled.transpose(2, 0, 1) if colored else scaled.reshape(shape))


def check_shape(shape: Shape) -> str | None:
    """None if pictures can have ``shape``, else the reason why not."""
    if len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3)):
        return None
    return "a picture has rows and columns, in 1 or 3 channels"


def _middle(pixels: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    rows, columns = pixels.shape[:2]
    if not rows or not columns:
        raise InputError("a picture without pixels; give another")
    kept_rows = min(rows, max(1, round(columns * shape[-2] / shape[-1])))
    kept_columns = min(columns, max(1, round(rows * shape[-1] / shape[-2])))
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    return pixels[top : top + kept_rows, left : left + kept_columns]


def _scaled(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """``size`` is (columns, rows)."""
    from PIL import Image

    image = Image.fromarray(pixels)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BOX))
