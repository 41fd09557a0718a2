"""Decides which pieces of ink belong to a digit, and which are other digits, specks, lines, or letters beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from .components import Box, Components

_NEAR = 0.25
"""A small piece belongs to a digit if the gap is at most this fraction of the digit's size: the bar of a 5, but not dirt."""
_TOUCHING = 0.06
"""Tall pieces side by side that are not further apart than this are one digit, broken by the pen or the light."""
_TALL = 0.5
"""A piece with this fraction of the main one's size is a digit of its own, not a detail, unless it lies above or below."""
_SPECK = 0.08
"""A piece below this fraction of the main one's size is dirt,"""
_THIN = 0.02
"""and so is one below this fraction of its ink."""
_OVER = 0.3
"""One piece lies above the other if they share this fraction of the narrower one's columns."""
_SPANNED = 0.6
"""A piece that touches a side of the picture along this fraction of it is a line or a shadow."""


@dataclass(frozen=True)
class Digit:
    """The numbers of the pieces, and the box around them."""

    pieces: tuple[int, ...]
    box: Box

    def and_also(self, other: Digit) -> Digit:
        return Digit(self.pieces + other.pieces, self.box.around(other.box))


def digits(pieces: Components) -> tuple[Digit, ...]:
    """The digits among ``pieces``. The main one, large and near the middle, is first. Empty if there are no pieces."""
    boxes = pieces.boxes
    if not boxes:
        return ()
    main = max(range(len(boxes)), key=lambda each: _weight(boxes[each], pieces.shape))
    size = boxes[main].longer
    likely = [
        Digit((number,), box)
        for number, box in enumerate(boxes)
        if number == main or (box.longer >= _SPECK * size and pieces.areas[number] >= _THIN * pieces.areas[main])
    ]
    tall = [each for each in likely if each.pieces == (main,) or _is_tall(each.box, size, pieces.shape)]
    small = [each for each in likely if each.box.longer < _TALL * size and not _touches(each.box, pieces.shape)]
    found = _with_details(_joined(tall, size), small, size)
    return tuple(sorted(found, key=lambda each: main not in each.pieces))


def in_reading_order(found: Iterable[Digit]) -> tuple[Digit, ...]:
    """Line by line, and each line from left to right."""
    lines: list[list[Digit]] = []
    for digit in sorted(found, key=lambda each: each.box.top):
        line = next((line for line in lines if _beside(line[0].box, digit.box)), None)
        if line is None:
            lines.append([digit])
        else:
            line.append(digit)
    return tuple(digit for line in lines for digit in sorted(line, key=lambda each: each.box.left))


def _weight(box: Box, shape: tuple[int, int]) -> float:
    """The weight of a piece in the choice of the main one."""
    down, across = (box.top + box.bottom) / shape[0] - 1, (box.left + box.right) / shape[1] - 1
    central = 1 - 0.5 * min(float(np.hypot(down, across)), 1)
    return box.longer * central * (0.6 if _touches(box, shape) else 1)


def _touches(box: Box, shape: tuple[int, int]) -> bool:
    return box.sides_on_edge(shape) > 0


def _is_tall(box: Box, size: int, shape: tuple[int, int]) -> bool:
    spans = box.height >= _SPANNED * shape[0] or box.width >= _SPANNED * shape[1]
    return box.longer >= _TALL * size and not (_touches(box, shape) and spans)


def _joined(tall: list[Digit], size: int) -> list[Digit]:
    """The digits made of tall pieces. Pieces of one digit are joined until no more can be joined."""
    apart: list[Digit] = []
    for each in tall:
        same = [other for other in apart if _same(each.box, other.box, size)]
        apart = [other for other in apart if other not in same]
        apart.append(reduce(Digit.and_also, same, each))
    return apart if len(apart) == len(tall) else _joined(apart, size)


def _same(one: Box, other: Box, size: int) -> bool:
    both, gap = one.around(other), one.gap(other)
    if _shared(one.left, one.right, other.left, other.right) >= _OVER:
        return gap <= _NEAR * size and both.height <= 1.5 * size
    return gap <= _TOUCHING * size and both.width <= both.height


def _with_details(apart: list[Digit], small: list[Digit], size: int) -> list[Digit]:
    """Adds each small piece to the nearest digit, if one is near. The nearest pieces are added first, since a digit grows."""
    for detail in sorted(small, key=lambda each: min(each.box.gap(digit.box) for digit in apart)):
        near = min(range(len(apart)), key=lambda each: detail.box.gap(apart[each].box))
        if detail.box.gap(apart[near].box) <= _NEAR * size:
            apart[near] = apart[near].and_also(detail)
    return apart


def _beside(one: Box, other: Box) -> bool:
    return _shared(one.top, one.bottom, other.top, other.bottom) >= 0.5


def _shared(start: int, end: int, other_start: int, other_end: int) -> float:
    """The overlap of two ranges as a share of the shorter one. 0 or less if they do not overlap."""
    return (min(end, other_end) - max(start, other_start)) / min(end - start, other_end - other_start)
