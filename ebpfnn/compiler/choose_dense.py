"""Chooses how a dense layer is computed: the candidates, their costs, and the cheapest of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import Dense
from . import cost
from .accumulate import Products
from .bounds import find_segments, reach
from .dense import AT_A_TIME
from .emitter import FARTHEST
from .features import KernelFeatures
from .lanes import FOUR, THREE, TWO
from .live import Live, live_inputs, pieces
from .nonzero import GROUP, LARGEST_INDEX
from .partial import RowShape
from .plan import LISTED, MOST_UNROLLED, ROWS_PLAN, STRAIGHT, Candidate, is_gathered
from .rows import MOST_WORDS as MOST_ROW_WORDS
from .rows import listed_bytes, live_groups
from .sidebyside import SideBySide
from .table_list import MOST_BYTES
from .table_rows import ROOMY_WORDS
from .tile import MOST_WORDS, Tiling

_UNKNOWN_DENSITY = 0.5
_LARGEST_ROWS = 1 << 24  # bytes of tables of partial sums: more are slower than multiplications, from memory that far away
_FEW = 64
"""Up to this number of inputs, a list does not pay.

Its end costs a mispredicted branch, and bytes that were just written cannot be read as words.
"""
_SELDOM_BLANK = 0.7
"""From this share of bytes with a non-zero input on, no branch skips their rows."""
TOO_LARGE = "has weights and inputs that no lane of 32 bits holds; use smaller weights"


@dataclass(frozen=True, eq=False)
class DenseChoice:
    """A way to compute a dense layer, as in :class:`~ebpfnn.compiler.plan.DensePlan`, and its cost."""

    shape: str
    products: Products
    cost: float
    live: Live | None = None
    rows: RowShape | None = None

    @property
    def candidate(self) -> Candidate:
        return Candidate.of(self.shape, self.products, self.cost, self.rows.bits if self.rows else 0)


def choose_dense(
    layer: Dense,
    low: int,
    high: int,
    density: float | None,
    features: KernelFeatures,
    *,
    name: str | None,
    grouped: tuple[SideBySide, ...] = (),
    spread: float = 0.0,
) -> tuple[DenseChoice, ...]:
    """The candidates for inputs in ``low..high``, the cheapest first, or, if any has the shape ``name``, those first.

    ``grouped`` are the weights in the order that rows need; ``spread`` is the cost of having the inputs in one byte each.
    Raises :class:`ModelError` if no lane can hold the layer.
    """
    share = _UNKNOWN_DENSITY if density is None else density
    found = [replace(each, cost=each.cost + spread) for each in _multiplying(layer, low, high, share, listed=name == LISTED)]
    for each in grouped:
        found += _row_choices(each, low, high, share, min(_LARGEST_ROWS, features.largest_table))
    if not found:
        raise ModelError(TOO_LARGE)
    return tuple(sorted(found, key=lambda each: (each.shape != name, each.cost)))


def _multiplying(layer: Dense, low: int, high: int, density: float, *, listed: bool) -> list[DenseChoice]:
    """The candidates that multiply: with all inputs, and, if some inputs have no weight, with only the others."""
    weights = np.ascontiguousarray(layer.weights.T)
    found = list(_product_choices(weights, low, high, density, listed=listed))
    live = live_inputs(weights)
    if live.size < len(weights):
        copy = cost.copy(len(pieces(live)))
        choices = _product_choices(weights[live], low, high, density, listed=listed)
        found += [replace(each, live=live, cost=each.cost + copy) for each in choices]
    return found


def _product_choices(weights: NDArray[np.int8], low: int, high: int, density: float, *, listed: bool) -> Iterator[DenseChoice]:
    inputs, outputs = weights.shape
    ranges = reach(weights, low, high)
    for lanes in (FOUR, THREE, TWO):
        tiling = Tiling.of(outputs, lanes.count, MOST_WORDS)
        shape = (inputs, tiling.words, tiling.tiles)
        ends = find_segments(ranges, lanes.bits, 1)
        if ends:
            products = Products(weights, low, high, lanes, ends, tiling.words, tiling.tiles, 8 * tiling.words)
            yield DenseChoice(STRAIGHT, products, cost.straight(*shape, len(ends), lanes))
        ends = find_segments(ranges, lanes.bits, GROUP)
        if ends and (inputs > _FEW or listed) and inputs <= LARGEST_INDEX:
            products = Products(weights, low, high, lanes, ends, tiling.words, tiling.tiles, *_rows(tiling))
            yield DenseChoice(
                LISTED, products, cost.listed(*shape, len(ends), lanes, density, gathered=is_gathered(tiling.tiles))
            )


def _rows(tiling: Tiling) -> tuple[int, bool]:
    """How many bytes apart the rows of weights are for a list, and whether the rows of all tiles are side by side.

    Rows side by side touch fewer cache lines per sample. Without entries, a power of 2 saves a multiplication.
    """
    if not is_gathered(tiling.tiles):
        return 8 << (tiling.words - 1).bit_length(), False
    together = 8 * tiling.words * tiling.tiles
    return (together, True) if AT_A_TIME * together <= FARTHEST else (8 * tiling.words, False)


def _row_choices(given: SideBySide, low: int, high: int, density: float, largest: int) -> Iterator[DenseChoice]:
    weights, outputs = given.weights, given.weights.shape[1]
    groups, ranges = max(1, len(live_groups(weights, given.levels))), reach(weights, low, high)
    filled = cost.filled(density, given.levels)
    skipping = given.together and filled < _SELDOM_BLANK
    shape = RowShape(given.bits, given.rows(low, high), skipping)
    for lanes in (FOUR, THREE):
        tiling = Tiling.of(outputs, lanes.count, MOST_ROW_WORDS)
        row = 8 << (tiling.words - 1).bit_length()
        size = groups * shape.rows * row * tiling.tiles
        ends = find_segments(ranges, lanes.bits, given.levels)
        if ends and size <= largest:
            products = Products(weights, low, high, lanes, ends, tiling.words, tiling.tiles, row)
            added = filled if skipping else 1.0
            price = given.cost + cost.rows(groups, tiling.words, tiling.tiles, len(ends), lanes, added, size)
            yield DenseChoice(ROWS_PLAN, products, price, rows=shape)
            if skipping and _can_list(products, shape, largest):
                size = listed_bytes(products.weights, shape.levels) * shape.rows * row * tiling.tiles
                sums = cost.listed_rows(len(weights) // given.levels, filled, tiling.words, tiling.tiles, size)
                price = given.cost + sums + cost.flush(tiling.words, tiling.tiles, 1, lanes)
                yield DenseChoice(ROWS_PLAN, products, price, rows=replace(shape, listed=True))


def _can_list(products: Products, shape: RowShape, largest: int) -> bool:
    """Whether bytes may be listed: for rows of so many words that few registers are left, and in tiles that are unrolled."""
    inputs = listed_bytes(products.weights, shape.levels)
    one = len(products.ends) == 1 and products.tiles <= MOST_UNROLLED and products.words > ROOMY_WORDS
    return one and inputs <= MOST_BYTES and inputs * shape.rows * products.row * products.tiles <= largest
