"""The tables of a layer, planned: which bytes select their rows, in which lanes their rows are added, and what is constant.

The number of a row is a byte that exists already, if possible: a byte of a packed sample, of bits that were gathered, or an
output of the previous layer. Tables are reordered for this when they are built: the row of a byte is the sum of the rows that
its levels select in all groups that lie in this byte. Otherwise the number is made of several bytes.

Rows of :class:`~ebpfnn.network.layers.ByteLanes` have lanes of 8 bits, by definition. Rows of exact sums have the narrowest
lanes that are proven to hold them: over all groups, the largest rows minus the smallest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..network.inputformat import InputFormat
from ..network.layers import LARGEST_SIZE, ByteLanes, Table
from .evenly import find_line
from .groups import group_layout, takes_groups
from .lanes import Lanes
from .limits import MOST_WALKED, TooMuchToWalk
from .partial import BYTE
from .sample import SampleForm, plan_levels

EIGHT = Lanes(8, 8)
_BLANK = 128
"""What a byte of a sum starts at (equation 20)."""
_LEAST_ROW = 4
"""The fewest instructions for a row: its number, its address, and a word of it."""


@dataclass(frozen=True, eq=False)
class RowTables:
    """The rows of a layer, int32 [groups, rows, outputs], and ``base``, int64 [outputs], which is added in any case.

    The number of a row is made of the bytes at ``places``, int32 [groups, members], -1 for none: of ``bits`` of each above
    ``low``, the first in the most significant ones. ``occupied``, bool [n, groups], tells for n samples whose number is not 0.
    """

    rows: NDArray[np.int32]
    base: NDArray[np.int64]
    places: NDArray[np.int32]
    occupied: NDArray[np.bool_]
    bits: int = BYTE
    low: int = 0

    @property
    def groups(self) -> int:
        return len(self.rows)

    @property
    def numbers(self) -> int:
        """Rows of a group."""
        return int(self.rows.shape[1])

    @property
    def outputs(self) -> int:
        return int(self.rows.shape[2])

    def lowest(self) -> NDArray[np.int64]:
        """The lowest sum of each output, int64 [outputs], without the base."""
        lowest: NDArray[np.int64] = self.rows.min(axis=1).sum(axis=0, dtype=np.int64)
        return lowest

    def highest(self) -> NDArray[np.int64]:
        """The highest sum of each output, int64 [outputs], without the base."""
        highest: NDArray[np.int64] = self.rows.max(axis=1).sum(axis=0, dtype=np.int64)
        return highest


def plan_first(form: InputFormat, layer: Table) -> tuple[SampleForm, RowTables]:
    """The form of a sample for a first layer of tables, and the tables that it selects from.

    Bytes select rows only if the tables become no larger than those of a layer may be. Raises :class:`TooMuchToWalk` for more
    groups than a verifier walks the rows of, before anything is made of them.
    """
    live = _live(layer)
    several = int((layer.order[live] >= 0).sum()) * form.bits  # groups in one byte may become one
    _check_walk(min(int(live.sum()), -(-several // BYTE)))
    tables = own_tables(layer, 0, form.highest)
    for how, layout in _layouts(form, layer):
        if layout.shape[0] * tables.outputs << BYTE > LARGEST_SIZE:
            continue
        found = _by_bytes(tables, form.bits, layout)
        if found:
            return how, _without_constants(found)
    _check_walk(int(live.sum()))
    return plan_levels(form), _without_constants(tables)


def plan_later(layer: Table, low: int, high: int) -> RowTables:
    """The tables of a layer whose inputs are bytes in ``low..high``. Raises as :func:`plan_first`."""
    _check_walk(int(_live(layer).sum()))
    return _without_constants(own_tables(layer, low, high))


def choose_lanes(layer: Table, tables: RowTables) -> Lanes:
    """The narrowest lanes that hold the sums, as wide as their number in a word allows."""
    if isinstance(layer.requantization, ByteLanes):
        return EIGHT
    ranges = tables.highest() - tables.lowest()
    count = 64 // max(1, int(ranges.max()).bit_length())
    return Lanes(64 // count, count)


def seeds(layer: Table, tables: RowTables) -> NDArray[np.int64]:
    """What each lane starts at, int64 [outputs]: with the base where sums are bytes, else so that no sum is negative."""
    return _BLANK + tables.base if isinstance(layer.requantization, ByteLanes) else -tables.lowest()


def row_words(lanes: Lanes, tables: RowTables, begin: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Rows, uint64 [groups, rows, words], and the seeds ``begin``, uint64 [words].

    Row 0 of each group is in the seeds and taken off all rows of the group, modulo 2^64. So row 0 adds nothing, and a branch
    may skip it.
    """
    rows = np.stack([lanes.pack(each) for each in tables.rows]) if tables.groups else _no_rows(lanes, tables)
    return rows - rows[:, :1], lanes.pack(begin) + rows[:, 0].sum(axis=0, dtype=np.uint64)


def own_tables(layer: Table, low: int, high: int) -> RowTables:
    """The tables as the layer has them. Rows that inputs in ``low..high`` never select become equal to row 0."""
    groups, rows, _ = layer.tables.shape
    occupied = np.unpackbits(layer.occupied, axis=1, count=groups) if len(layer.occupied) else np.zeros((0, groups), np.uint8)
    found = layer.tables.astype(np.int32)
    selected = _selected(layer, rows, high - low)
    found = np.where(selected[:, :, None], found, found[:, :1])
    return RowTables(found, layer.bias.astype(np.int64), layer.order, occupied.astype(np.bool_), layer.bits, low)


def _live(layer: Table) -> NDArray[np.bool_]:
    """Which groups have rows that differ, bool [groups]."""
    return np.asarray((layer.tables != layer.tables[:, :1]).any(axis=(1, 2)), np.bool_)


def _check_walk(rows: int) -> None:
    """Raises :class:`TooMuchToWalk` if a verifier cannot walk the code of so many rows, however short it is."""
    if rows * _LEAST_ROW > MOST_WALKED:
        fact = f"takes the verifier past some {rows * _LEAST_ROW} instructions; it walks {MOST_WALKED}"
        raise TooMuchToWalk(f"{fact}; use fewer inputs, or groups of more")


def _selected(layer: Table, rows: int, highest: int) -> NDArray[np.bool_]:
    """Which rows a group can select, bool [groups, rows], if no level is above ``highest``."""
    shifts = layer.bits * np.arange(layer.order.shape[1])[::-1]
    levels = np.arange(rows)[:, None] >> shifts & (1 << layer.bits) - 1
    most = np.where(layer.order < 0, 0, highest)
    return np.asarray((levels <= most[:, None, :]).all(axis=2), np.bool_)


def _layouts(form: InputFormat, layer: Table) -> list[tuple[SampleForm, NDArray[np.int32]]]:
    """The forms with several levels in a byte, and which input is where: int32 [bytes, levels], the most significant first."""
    if form.bits == BYTE:
        return []
    straight = _beside(form, "big" if form.packed and form.bit_order == "big" else "little")
    if form.packed:
        return [(SampleForm.PACKED, straight)]
    if form.value_thresholds:
        return [(SampleForm.OWN_SIDE_BY_SIDE, straight)]
    if form.bits == 1:
        grouped = [(SampleForm.GROUPED_BITS, group_layout(layer.order))] if takes_groups(form, layer.order) else []
        return [(SampleForm.GATHERED_BITS, straight), *grouped]
    return [(SampleForm.EVEN_SIDE_BY_SIDE, straight)] if find_line(form) else []


def _beside(form: InputFormat, order: str) -> NDArray[np.int32]:
    levels = BYTE // form.bits
    numbers = np.arange(-(-form.size // levels) * levels, dtype=np.int32).reshape(-1, levels)
    numbers[numbers >= form.size] = -1
    return numbers if order == "big" else numbers[:, ::-1]


def _by_bytes(tables: RowTables, bits: int, layout: NDArray[np.int32]) -> RowTables | None:
    """The same for bytes that hold levels of ``bits`` as ``layout`` says; None if a group does not lie in one byte.

    Levels without an input may be anything.
    """
    levels = layout.shape[1]
    byte, shift = np.zeros(layout.max() + 1, np.int64), np.zeros(layout.max() + 1, np.int64)
    for place in range(levels):
        there = layout[:, place] >= 0
        byte[layout[there, place]] = np.flatnonzero(there)
        shift[layout[there, place]] = bits * (levels - 1 - place)
    rows = np.zeros((len(layout), 1 << BYTE, tables.outputs), np.int32)
    occupied = np.zeros((len(tables.occupied), len(layout)), np.bool_)
    for group, members in enumerate(tables.places):
        numbers = np.zeros(1 << BYTE, np.int64)
        known = members[members >= 0]
        if len(np.unique(byte[known])) > 1:
            return None
        for member in members:
            numbers <<= tables.bits
            if member >= 0:
                numbers |= np.arange(1 << BYTE) >> shift[member] & (1 << bits) - 1
        mine = byte[known[0]] if len(known) else 0
        rows[mine] += tables.rows[group, numbers]
        occupied[:, mine] |= tables.occupied[:, group]
    return RowTables(rows, tables.base, np.arange(len(layout), dtype=np.int32)[:, None], occupied)


def _without_constants(tables: RowTables) -> RowTables:
    """Without groups whose rows are all equal: they go into the base."""
    same = (tables.rows == tables.rows[:, :1]).all(axis=(1, 2))
    base = tables.base + tables.rows[same, 0].sum(axis=0, dtype=np.int64)
    left = ~same
    return replace(tables, rows=tables.rows[left], base=base, places=tables.places[left], occupied=tables.occupied[:, left])


def _no_rows(lanes: Lanes, tables: RowTables) -> NDArray[np.uint64]:
    return np.zeros((0, 1, lanes.words(tables.outputs)), np.uint64)
