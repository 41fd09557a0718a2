"""Converts a picture of a handwritten digit to MNIST's form: light ink on black, MNIST's size and position.

The method is that of MNIST (Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits"): a glyph is
scaled to fit 20 x 20 pixels with its aspect ratio kept, then put into 28 x 28 so that its center of mass is at the center.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InputError
from . import glyph_ink, mnist_like, strokes
from .glyph_ink import Inked
from .pieces import Digit, digits, in_reading_order

Polarity = Literal["auto", "light-on-dark", "dark-on-light"]
SHARE = 20 / 28
"""The fraction of a sample's side that a glyph's longer side fills."""
_LARGEST = 640
"""The longer side, in pixels, to which a larger picture is reduced: a photograph costs no more than a scan."""


@dataclass(frozen=True)
class GlyphOptions:
    """The size that a glyph is fitted to, and how it is converted.

    ``rows`` and ``columns`` are the sample's. ``polarity`` says how the ink differs from its ground, or that this is detected.
    ``ground`` is ``local`` to remove shadows, ``none`` if the ground is already black or white. Without ``crop`` the whole
    picture is scaled to the sample. ``center`` is ``mass`` as in MNIST, or ``box``. Without ``widen`` the width of strokes is
    not changed.
    """

    rows: int = 28
    columns: int = 28
    polarity: Polarity = "auto"
    ground: Literal["local", "none"] = "local"
    crop: bool = True
    center: Literal["mass", "box"] = "mass"
    widen: bool = True


_DEFAULTS = GlyphOptions()


@dataclass(frozen=True)
class Glyph:
    """``pixels``, uint8 [rows, columns], the steps that made them, and how many digits the picture seems to have."""

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    digits: int = 1


def prepare_glyph(gray: NDArray[Any], options: GlyphOptions = _DEFAULTS) -> Glyph:
    """The digit in ``gray``, uint8 0..255 or floats 0..1 [height, width]. If there are several, the largest near the middle.

    A picture that looks like a sample of MNIST is returned unchanged. A picture without ink gives a black sample, ``digits`` 0,
    and the note ``blank or no digit``. Raises :class:`InputError` for another dtype or shape.
    """
    pixels = _checked(gray)
    ready = mnist_like.taken(pixels, options.rows, options.columns, options.polarity)
    if ready is not None:
        return Glyph(ready, ("inverted (dark on light)",) if ready is not pixels else ())
    inked = _inked(pixels, options)
    found = digits(inked.pieces)
    if not found:
        return Glyph(np.zeros((options.rows, options.columns), np.uint8), (*inked.notes, "blank or no digit"), 0)
    more = (f"several digits: {len(found)}, of which the main one is taken",) if len(found) > 1 else ()
    dropped = inked.pieces.count - sum(len(digit.pieces) for digit in found)
    return _fitted(pixels.shape, inked, found[0], options, (*more, *_counted(dropped)), len(found))


def split_glyphs(gray: NDArray[Any], options: GlyphOptions = _DEFAULTS) -> list[Glyph]:
    """Every digit in ``gray``, in reading order; none if it is blank. Each is made as, and raises as, :func:`prepare_glyph`."""
    pixels = _checked(gray)
    if mnist_like.taken(pixels, options.rows, options.columns, options.polarity) is not None:
        return [prepare_glyph(pixels, options)]
    inked = _inked(pixels, options)
    found = in_reading_order(digits(inked.pieces))
    return [
        _fitted(pixels.shape, inked, digit, options, (f"digit {number} of {len(found)}",), 1)
        for number, digit in enumerate(found, 1)
    ]


def _checked(gray: NDArray[Any]) -> NDArray[np.uint8]:
    if gray.ndim != 2 or not gray.size or not (gray.dtype == np.uint8 or gray.dtype.kind == "f"):
        raise InputError(f"picture: {gray.dtype} {list(gray.shape)}; give uint8 or floats [height, width], none of them 0")
    if gray.dtype == np.uint8:
        return gray
    if not (np.isfinite(gray).all() and gray.min() >= 0 and gray.max() <= 1):
        raise InputError("picture: floats beyond 0..1; scale them to 0..1")
    levels: NDArray[np.uint8] = np.rint(gray * 255).astype(np.uint8)
    return levels


def _inked(pixels: NDArray[np.uint8], options: GlyphOptions) -> Inked:
    factor = _reduction(pixels.shape)
    reduced = np.asarray(Image.fromarray(pixels).reduce(factor)) if factor > 1 else pixels
    dark = None if options.polarity == "auto" else options.polarity == "dark-on-light"
    return glyph_ink.found(reduced.astype(np.float32), dark=dark, even=options.ground == "none", frames_too=not options.crop)


def _reduction(shape: tuple[int, ...]) -> int:
    return -(-max(shape) // _LARGEST)


def _fitted(
    shape: tuple[int, ...], inked: Inked, digit: Digit, options: GlyphOptions, notes: tuple[str, ...], count: int
) -> Glyph:
    """``shape`` is the shape of the picture before it was reduced and frames were removed."""
    ink = inked.of(digit, whole=not options.crop)
    share = SHARE if options.crop else 1
    size = options.rows * share, options.columns * share
    grown = strokes.growth(ink, size, min(options.rows, options.columns) / 28) if options.widen else 0.0
    placed = _placed(strokes.drawn(ink, size, grown), options)
    return Glyph(placed, (*inked.notes, *notes, *_changes(shape, digit, options, grown)), count)


def _changes(shape: tuple[int, ...], digit: Digit, options: GlyphOptions, grown: float) -> Iterator[str]:
    if options.crop:
        (rows, columns), factor = shape, _reduction(shape)
        width, height = min(digit.box.width * factor, columns), min(digit.box.height * factor, rows)
        yield f"cropped to {width}x{height} of {columns}x{rows}"
    if round(grown * strokes.FINE):
        yield "strokes widened" if grown > 0 else "strokes narrowed"


def _counted(dropped: int) -> tuple[str, ...]:
    return (f"{dropped} piece{'s' * (dropped > 1)} dropped",) if dropped else ()


def _placed(glyph: NDArray[np.uint8], options: GlyphOptions) -> NDArray[np.uint8]:
    """Puts the glyph in the middle of the sample, as near as whole pixels and the edges allow."""
    shape = options.rows, options.columns
    canvas = np.zeros(shape, np.uint8)
    glyph = glyph[: shape[0], : shape[1]]
    middle = mnist_like.center_of_mass(glyph) if options.center == "mass" else tuple(side / 2 for side in glyph.shape)
    top, left = (
        min(max(round(side / 2 - center), 0), side - extent)
        for side, center, extent in zip(shape, middle, glyph.shape, strict=True)
    )
    canvas[top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph
    return canvas
