"""The path of a row through a single tree: the comparisons that led to its leaf, as bounds of columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.model import Model
from ..trees import Forest
from .levels import Levels, Number


@dataclass(frozen=True)
class Condition:
    """``low <= column < high``: what the tree asked of a column, in its unit. None: no limit."""

    column: str
    low: Number | None
    high: Number | None


def path(model: Model, levels: Levels, sample: NDArray[np.uint8]) -> tuple[Condition, ...]:
    """The conditions that ``sample``, uint8 [inputs], met, in the order of the tree. () if ``model`` is not a single one."""
    if not isinstance(model, Forest) or len(model.trees) != 1:
        return ()
    tree, at = model.trees[0], 0 if model.trees[0].nodes else -1
    held: dict[int, list[int]] = {}
    while at >= 0:
        value, threshold = int(tree.values[at]), int(tree.thresholds[at])
        right = int(sample[value]) >= threshold
        place, level = _level(levels, value, threshold)
        limits = held.setdefault(place, [0, len(levels.columns[place].bounds) + 1])
        limits[0] = max(limits[0], level) if right else limits[0]
        limits[1] = limits[1] if right else min(limits[1], level)
        at = int(tree.children[at, int(right)])
    return tuple(_condition(levels, place, *limits) for place, limits in held.items())


def _level(levels: Levels, value: int, threshold: int) -> tuple[int, int]:
    """The column that value number ``value`` of a sample is of, and the least level at which it is at least ``threshold``."""
    place = next(number for number, each in enumerate(levels.places) if each.start <= value < each.stop)
    column, part = levels.columns[place], value - levels.places[place].start
    if column.thermometer:
        return place, part + 1 if threshold == 1 else len(column.bounds) + 1
    first = column.parts[part]
    last = column.parts[part + 1] if part + 1 < len(column.parts) else len(column.bounds)
    level = first - (-threshold // column.step)
    return place, level if level <= last else len(column.bounds) + 1


def _condition(levels: Levels, place: int, low: int, high: int) -> Condition:
    column = levels.columns[place]
    above = column.bounds[low - 1] if low else None
    return Condition(column.name, above, column.bounds[high - 1] if high <= len(column.bounds) else None)
