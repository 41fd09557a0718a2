"""Chooses how a convolution is computed: its lanes, which of its loops are unrolled, and which windows are skipped."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import Conv2d
from . import cost
from .accumulate import Products
from .bounds import find_segments, reach
from .choose_dense import TOO_LARGE
from .conv_list import FARTHEST_WEIGHTS, list_bytes
from .emitter import FARTHEST
from .features import KernelFeatures
from .lanes import FOUR, THREE, TWO
from .plan import LISTED_WINDOWS, WINDOWS, Candidate, ConvTile
from .positions import MOST_OF_A_WINDOW, WALKED, unwalked_loops
from .tile import MOST_WORDS, Tiling

_SPARSE = 0.45
"""The share of inputs that are not 0 below which blank windows, or blank rows of them, are skipped."""
_WIDEST_BLANK = 8  # columns of a window that one load covers
_WORTH_A_BRANCH = 20  # instructions that a branch must skip, or its mispredictions cost more
MOST_PRODUCTS = 700
"""The maximum of unrolled multiplications per position; above it, a loop goes through the input channels."""
MOST_LISTS = 1 << 19
"""The most bytes of lists of a layer, all of which are written before the first is read."""
PRODUCTS_OF_A_TURN = 64
"""The maximum of multiplications that a turn of such a loop has, if one channel has not more."""


def group_weights(layer: Conv2d, group: int) -> NDArray[np.int8]:
    """The weights of one group as a dense layer over its window, int8 [inputs, outputs]."""
    outputs = layer.outputs // layer.groups
    weights: NDArray[np.int8] = layer.weights[group * outputs : (group + 1) * outputs].reshape(outputs, -1).T
    return weights


def skips_rows(layer: Conv2d, density: float | None, name: str | None) -> bool:
    """Whether enough inputs are 0 that branches skip blank rows of a window; never by the plan "straight"."""
    if density is None or density >= _SPARSE or name == "straight":
        return False
    columns, words = layer.window.kernel[1], THREE.words(layer.outputs // layer.groups)
    return columns <= _WIDEST_BLANK and columns * (1 + 3 * min(words, MOST_WORDS)) >= _WORTH_A_BRANCH


def choose_conv(
    layer: Conv2d,
    low: int,
    high: int,
    density: float | None,
    *,
    short: bool = False,
    listed: float | None = None,
    positions: int = 1,
) -> tuple[tuple[Products, ...], tuple[Candidate, ...]]:
    """Each group, all with the lanes of the lowest cost, and the possible lanes, the cheapest first.

    ``density`` is the share of inputs that are not 0 if blank rows are skipped, else None; ``listed`` is it if the values of
    windows at ``positions`` may be listed. A ``short`` layer gets as few
    segments as possible, whatever they cost. Raises :class:`ModelError` if no lane can hold the layer.
    """
    share = 1.0 if density is None else cost.filled(density, layer.window.kernel[1])
    groups = [np.ascontiguousarray(group_weights(layer, group)) for group in range(layer.groups)]
    together, taps = np.concatenate(groups, axis=1), prod(layer.window.kernel)
    ranges, found, made = reach(together, low, high), list[Candidate](), list[Products]()
    for lanes in (FOUR, THREE, TWO):
        tiling = Tiling.of(groups[0].shape[1], lanes.count)
        ends = find_segments(ranges, lanes.bits, taps)
        if not ends and len(together) * 8 * tiling.words < FARTHEST:  # segments within a channel are written out in full
            ends = find_segments(ranges, lanes.bits, 1)
        if ends:
            sizes = tiling.words, tiling.tiles, len(ends), lanes
            products = Products(groups[0], low, high, lanes, ends, tiling.words, tiling.tiles, 8 * tiling.words)
            found.append(Candidate.of(WINDOWS, products, cost.straight(len(together) * share, *sizes)))
            made.append(products)
            if listed is not None and lists_windows(layer, products, positions):
                found.append(Candidate.of(LISTED_WINDOWS, products, cost.listed_windows(len(together), *sizes, listed)))
                made.append(products)
    if not found:
        raise ModelError(TOO_LARGE)
    order = sorted(range(len(found)), key=lambda each: (found[each].flushes if short else 0, found[each].cost))
    best = made[order[0]]
    return tuple(replace(best, weights=each) for each in groups), tuple(found[each] for each in order)


def lists_windows(layer: Conv2d, products: Products, positions: int) -> bool:
    """Whether the values of windows at so many ``positions`` can be listed."""
    near = len(products.weights) * products.row <= FARTHEST_WEIGHTS
    return layer.groups == 1 and near and positions * list_bytes(products) <= MOST_LISTS


def plan_tiles(
    layer: Conv2d,
    products: Products,
    positions: tuple[int, int],
    apart: int,
    features: KernelFeatures,
    *,
    asks_blank: bool,
    skips: bool,
    kept: bool,
    over_tiles: bool,
    listed: bool = False,
    most: int = WALKED,
) -> tuple[ConvTile, ...]:
    """The tiles of one group, for outputs at rows and columns of ``positions``, which are ``apart`` bytes from each other.

    ``over_tiles`` says that they are one piece of code, as wide as the widest. If sums are ``kept`` in a single accumulator,
    neighboring positions are computed together. Loops over positions may walk ``most`` instructions.

    Blank windows are tested if ``asks_blank`` says so and every output is near enough for a store. If blank rows are to be
    skipped (``skips``) at positions in the loop of an iterator, channels are unrolled as far as offsets reach.
    """
    outputs, taps = layer.outputs // layer.groups, prod(layer.window.kernel)
    tiling = Tiling(outputs, products.lanes.count, products.words, products.tiles)
    found = []
    for size in [tiling.width] if over_tiles else map(tiling.size, range(tiling.tiles)):
        together = (
            kept and not listed and not skips and not asks_blank and products.lanes.words(size) == len(products.ends) == 1
        )
        columns = columns_at_a_time(positions[1]) if together else 1
        turns = positions[0], runs(positions[1], columns)[0].turns
        unwalked = unwalked_loops(turns, columns * position_size(products, size), features, most)
        far = skips and unwalked and features.iterators
        loops = tuple(
            not (
                listed
                or (end - start) * products.lanes.words(size) * columns <= MOST_PRODUCTS
                or (far and (end - start) * products.row < FARTHEST)
                or start % taps
                or end % taps
            )
            for start, end in zip(products.starts, products.ends, strict=True)
        )
        in_rows = any(loops) and taps * (3 * products.lanes.words(size) * columns + 1) > MOST_OF_A_WINDOW
        found.append(ConvTile(size, asks_blank and size * apart < FARTHEST, loops, unwalked, in_rows, columns))
    return tuple(found)


class Run(NamedTuple):
    """Columns of outputs from ``start`` on: ``turns`` times as many as are computed together."""

    start: int
    columns: int
    turns: int


def columns_at_a_time(columns: int) -> int:
    """How many of ``columns`` are computed together: as many as there are accumulators, or fewer if then fewer are left."""
    return -(-columns // -(-columns // MOST_WORDS))


def runs(columns: int, together: int) -> tuple[Run, ...]:
    """All ``columns``, as many at a time as are computed ``together``, and then what is left."""
    turns, rest = divmod(columns, together)
    return (Run(0, together, turns), *([Run(columns - rest, rest, 1)] if rest else []))


def channels_at_a_time(channels: int, products: int) -> int:
    """How many of the channels that a loop goes over are written out, for ``products`` of each; they divide the channels."""
    return next(count for count in range(max(1, min(channels, PRODUCTS_OF_A_TURN // products)), 0, -1) if channels % count == 0)


def branches_in_loops(tiles: tuple[ConvTile, ...], features: KernelFeatures) -> bool:
    """Whether branches that skip blank rows would be in a loop over channels which is in a loop over rows or of an iterator.

    In an iterator's loop the verifier compares states exactly (RANGE_WITHIN, Linux 6.8), so it walks each path through the
    branches of each iteration of the inner loop: 16 channels of 3x3 took 987,881 instructions on Linux 6.18, 24 over a million.
    """
    return any(tile.row_loops or (features.iterators and tile.unwalked and any(tile.channel_loops)) for tile in tiles)


def position_size(products: Products, outputs: int) -> int:
    """The approximate number of instructions for one position of a tile of ``outputs``, with unrolled input channels."""
    return len(products.weights) * (3 * products.words + 1) + 22 * outputs
