"""Choosing how each layer is computed, from its weights, its shapes and how many of its inputs are zero."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..layers import Conv2d, Dense
from . import cost
from .accumulate import Products
from .bounds import reach, segments
from .conv import ConvPlan, group_weights
from .dense import AT_A_TIME
from .emitter import FARTHEST
from .features import KernelFeatures
from .lanes import FOUR, THREE, TWO, Lanes
from .live import Live, live_inputs, pieces
from .nonzero import GROUP, LARGEST_INDEX
from .partial import RowShape
from .rows import MOST_WORDS as MOST_ROW_WORDS
from .rows import live_groups
from .sidebyside import SideBySide
from .tile import MOST_WORDS, Tiling

STRAIGHT, LISTED, ROWS_PLAN = "straight", "listed", "rows"
PLANS = (STRAIGHT, LISTED, ROWS_PLAN)
_UNKNOWN_DENSITY = 0.5
_MOST_UNROLLED = 3
"""Tiles that are written out one behind the other where a loop is possible."""
_LARGEST_ROWS = 1 << 24  # bytes of tables of partial sums: more are slower than multiplications, from memory that far away
_FEW = 64
"""Inputs that are not worth a list: its end is a mispredicted branch, and bytes just written cannot be read as words."""
_MANY = 256
"""Inputs from which on code for a list that is nearly full is worth its size."""
_SPARSE = 0.45
_SELDOM_BLANK = 0.7
"""The share of bytes of inputs that are not all zero from which on no branch goes round their rows."""
_WIDEST_BLANK = 8  # columns of a window that one load covers


@dataclass(frozen=True)
class DensePlan:
    """``shape`` is "straight", "listed" or "rows"; ``cost`` is what the model says of it.

    Where there are ``live`` inputs, the products are of these alone.
    """

    shape: str
    products: Products
    cost: float
    iterated: bool = False
    live: Live | None = None
    rows: RowShape | None = None

    @property
    def counted(self) -> bool:
        """Whether a list that is nearly full is left unused: the code is there twice, too much where it is unrolled."""
        return (self.iterated or self.products.tiles <= _MOST_UNROLLED) and len(self.products.weights) >= _MANY

    @property
    def gathered(self) -> bool:
        """Whether what the entries of a list stand for is looked up once for all tiles."""
        return _is_gathered(self.products.tiles)


def plan_dense(
    layer: Dense,
    low: int,
    high: int,
    density: float | None,
    features: KernelFeatures,
    *,
    name: str | None,
    grouped: tuple[SideBySide, ...] = (),
    spread: float = 0.0,
) -> DensePlan:
    """The cheapest plan for inputs in ``low..high``, or that of shape ``name`` where there is one.

    ``grouped`` are the weights as rows may want them; ``spread`` is what it costs to have them in a byte
    each. Raises :class:`ModelError` where no lane holds the layer.
    """
    share = _UNKNOWN_DENSITY if density is None else density
    weights = np.ascontiguousarray(layer.weights.T)
    found = list(_product_plans(weights, low, high, share, listed=name == LISTED))
    live = live_inputs(weights)
    if live.size < len(weights):
        copy = cost.copy(len(pieces(live)))
        plans = _product_plans(weights[live], low, high, share, listed=name == LISTED)
        found += [replace(plan, live=live, cost=plan.cost + copy) for plan in plans]
    found = [replace(plan, cost=plan.cost + spread) for plan in found]
    for each in grouped:
        found += _row_plans(each, low, high, share, min(_LARGEST_ROWS, features.largest_table))
    if not found:
        raise ModelError("has weights and inputs that no lane of 32 bits holds; use smaller weights")
    named = [plan for plan in found if plan.shape == name]
    best = min(named or found, key=lambda plan: plan.cost)
    return replace(best, iterated=features.unwalked and best.products.tiles > _MOST_UNROLLED)


def plan_conv(layer: Conv2d, low: int, high: int, density: float | None) -> tuple[Products, ...]:
    """How each group is computed: alike, with the lanes that cost least. Raises :class:`ModelError` as :func:`plan_dense`."""
    share = 1.0 if density is None else cost.filled(density, layer.window.kernel[1])
    groups = [np.ascontiguousarray(group_weights(layer, group)) for group in range(layer.groups)]
    together = np.concatenate(groups, axis=1)
    taps = layer.window.kernel[0] * layer.window.kernel[1]
    ranges, found = reach(together, low, high), []
    for lanes in (FOUR, THREE, TWO):
        tiling = Tiling.of(groups[0].shape[1], lanes.count)
        ends = _segments(ranges, lanes, taps)
        if not ends and len(together) * 8 * tiling.words < FARTHEST:  # segments within a channel are written out in full
            ends = _segments(ranges, lanes, 1)
        if ends:
            price = cost.straight(len(together) * share, tiling.words, tiling.tiles, len(ends), lanes)
            found.append((price, lanes, ends, tiling))
    if not found:
        raise ModelError("has weights and inputs that no lane of 32 bits holds; use smaller weights")
    _, lanes, ends, tiling = min(found, key=lambda each: each[0])
    return tuple(Products(each, low, high, lanes, ends, tiling.words, tiling.tiles, 8 * tiling.words) for each in groups)


def conv_shape(layer: Conv2d, low: int, density: float | None, features: KernelFeatures, name: str | None) -> ConvPlan:
    """Whether blank windows are skipped, and whether groups are gone through in a loop."""
    sparse = density is not None and density < _SPARSE and layer.window.kernel[1] <= _WIDEST_BLANK and name != STRAIGHT
    blank = sparse and layer.inputs == 1 and low == 0 and layer.pad_value == 0
    return ConvPlan(blank, sparse, features.unwalked and layer.groups > _MOST_UNROLLED)


def _product_plans(weights: NDArray[np.int8], low: int, high: int, density: float, *, listed: bool) -> Iterator[DensePlan]:
    inputs, outputs = weights.shape
    ranges = reach(weights, low, high)
    for lanes in (FOUR, THREE, TWO):
        tiling = Tiling.of(outputs, lanes.count, MOST_WORDS)
        shape = (inputs, tiling.words, tiling.tiles)
        ends = _segments(ranges, lanes, 1)
        if ends:
            products = Products(weights, low, high, lanes, ends, tiling.words, tiling.tiles, 8 * tiling.words)
            yield DensePlan(STRAIGHT, products, cost.straight(*shape, len(ends), lanes))
        ends = _segments(ranges, lanes, GROUP)
        if ends and (inputs > _FEW or listed) and inputs <= LARGEST_INDEX:
            products = Products(weights, low, high, lanes, ends, tiling.words, tiling.tiles, *_rows(tiling))
            yield DensePlan(
                LISTED, products, cost.listed(*shape, len(ends), lanes, density, gathered=_is_gathered(tiling.tiles))
            )


def _is_gathered(tiles: int) -> bool:
    return tiles > _MOST_UNROLLED


def _rows(tiling: Tiling) -> tuple[int, bool]:
    """How many bytes apart a list's rows of weights are, and whether those of all tiles lie side by side.

    What a sample uses is then fewer lines of the cache. Without entries a power of 2 saves a multiplication.
    """
    if not _is_gathered(tiling.tiles):
        return 8 << (tiling.words - 1).bit_length(), False
    together = 8 * tiling.words * tiling.tiles
    return (together, True) if AT_A_TIME * together <= FARTHEST else (8 * tiling.words, False)


def _row_plans(given: SideBySide, low: int, high: int, density: float, largest: int) -> Iterator[DensePlan]:
    weights, outputs = given.weights, given.weights.shape[1]
    groups, ranges = max(1, len(live_groups(weights, given.levels))), reach(weights, low, high)
    filled = cost.filled(density, given.levels)
    skipping = given.together and filled < _SELDOM_BLANK
    shape = RowShape(given.bits, given.rows(low, high), skipping)
    for lanes in (FOUR, THREE):
        tiling = Tiling.of(outputs, lanes.count, MOST_ROW_WORDS)
        row = 8 << (tiling.words - 1).bit_length()
        size = groups * shape.rows * row * tiling.tiles
        ends = _segments(ranges, lanes, given.levels)
        if ends and size <= largest:
            products = Products(weights, low, high, lanes, ends, tiling.words, tiling.tiles, row)
            added = filled if skipping else 1.0
            price = given.cost + cost.rows(groups, tiling.words, tiling.tiles, len(ends), lanes, added, size)
            yield DensePlan(ROWS_PLAN, products, price, rows=shape)


def _segments(ranges: NDArray[np.int64], lanes: Lanes, step: int) -> tuple[int, ...]:
    """None where so narrow a lane cannot hold even one step of inputs."""
    try:
        return segments(ranges, lanes.bits, step)
    except ModelError:
        return ()
