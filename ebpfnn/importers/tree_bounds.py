"""Bounds of columns: for each comparison of a tree, the least value of the column with which it turns out otherwise.

docs/trees.md, *From floats*, has the rule. It is found by bisection over all values of the column's type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .tree_columns import Made

Places = NDArray[np.int64]
LOWER, UPPER = -1, 1


@dataclass(frozen=True, eq=False)
class Turns:
    """For each comparison: ``bounds``, float64 or int64 [n], where its outcome turns as the column rises.

    ``side`` int8 [n] is 1 where it holds from the bound on, -1 where it holds below it, and 0 where it does not turn: then
    ``always`` [n] tells whether it holds.
    """

    bounds: NDArray[Any]
    side: NDArray[np.int8]
    always: NDArray[np.bool_]


def turns(made: Made, kind: np.dtype[Any], holds: Callable[[NDArray[Any]], NDArray[np.bool_]], count: int) -> Turns:
    """Where each of ``count`` comparisons turns. ``holds`` takes values [count] of ``made``, and gives their outcomes.

    The column is of type ``kind``. ``made`` never falls as the column rises, or never rises.
    """

    def outcome(places: Places) -> NDArray[np.bool_]:
        return holds(made.of(value_at(places, kind)))

    lowest, highest = _ends(kind)
    low, high = np.full(count, lowest, np.int64), np.full(count, highest, np.int64)
    first, last = outcome(low), outcome(high)
    while (low < high).any():
        middle = (low >> 1) + (high >> 1) + (low & high & 1)  # the sum would leave int64
        turned = outcome(middle) != first
        low, high = np.where(turned | (low == high), low, middle + 1), np.where(turned, middle, high)
    side = np.where(first == last, 0, np.where(last, UPPER, LOWER)).astype(np.int8)
    return Turns(_cells(high, kind), side, first)


def place_of(values: NDArray[Any]) -> Places:
    """The place of each value among all of its type, rising with it. Both zeros have one place, and NaN has none."""
    if values.dtype.kind == "i":
        return values.astype(np.int64)
    wide = values.dtype.itemsize == 8
    bits = np.ascontiguousarray(values).view(np.int64 if wide else np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & (0x7FFF_FFFF_FFFF_FFFF if wide else 0x7FFF_FFFF)), bits)


def value_at(places: Places, kind: np.dtype[Any]) -> NDArray[Any]:
    """The values of type ``kind`` at ``places``: the inverse of :func:`place_of`."""
    if kind.kind == "i":
        return places.astype(kind)
    found: NDArray[Any] = np.abs(places).astype(np.int64 if kind.itemsize == 8 else np.int32).view(kind)
    return np.where(places < 0, -found, found)


def _ends(kind: np.dtype[Any]) -> tuple[int, int]:
    """The places of the least and the greatest value: of floats the infinities."""
    if kind.kind == "i":
        return int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    greatest = int(place_of(np.array([np.inf], kind))[0])
    return -greatest, greatest


def _cells(places: Places, kind: np.dtype[Any]) -> NDArray[Any]:
    """The least cell of a column that becomes the value at each of ``places``, or a greater one: float64, or int64.

    A cell is a float64, and a column of float32 takes the nearest one, ties to even. So the cell lies halfway between the value
    and the one below it, or right above that.
    """
    if kind.kind == "i":
        return places
    found = value_at(places, kind)
    if kind == np.float64:
        return found
    below = value_at(np.maximum(places - 1, _ends(kind)[0]), kind)
    edges = np.stack([below, found]).astype(np.float64)
    edges = np.where(np.isinf(edges), np.copysign(2.0**128, edges), edges)  # what would come after the greatest float32
    halves = edges.sum(axis=0) / 2
    with np.errstate(over="ignore"):
        reached = place_of(halves.astype(np.float32)) >= places
    cells: NDArray[np.float64] = np.where(reached, halves, np.nextafter(halves, np.inf))
    return cells
