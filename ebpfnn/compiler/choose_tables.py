"""Plans a layer of tables: lanes, tiles, and the branches that skip blank groups."""

from __future__ import annotations

from ..network.layers import ByteLanes, Table
from . import cost
from .branches import Run, no_branches, plan_branches, price
from .cost import table_sums
from .plan import TABLES, Candidate, TablePlan
from .requantize import plan_clips
from .scores import MOST_WORDS as MOST_SCORES
from .table_list import bytes_of, can_list
from .table_rows import MOST_WORDS, ROOMY_WORDS
from .table_tail import MOST_BEHIND, words_fit
from .tables import EIGHT, RowTables, choose_lanes
from .tile import MOST_WORDS as MOST_REQUANTIZED
from .tile import Tiling
from .values import OutputForm


def plan_table(layer: Table, tables: RowTables, form: OutputForm, *, masked: bool, skips: bool) -> TablePlan:
    """The plan of ``layer`` for the numbers and rows in ``tables``; without ``skips``, no branch skips a row."""
    lanes, by, requantize = choose_lanes(layer, tables), layer.requantization, None
    if not isinstance(by, ByteLanes):
        requantize = plan_clips(by, tables.lowest() + tables.base, tables.highest() + tables.base, masked=masked)
    tiling = Tiling.of(layer.outputs, lanes.count, MOST_REQUANTIZED if requantize else MOST_WORDS)
    whole = table_sums(tables.groups, tiling.words, tiling.tiles, layer.outputs)
    candidate = Candidate(TABLES, tables.groups, str(lanes), tiling.words, tiling.tiles, 1, whole, layer.bits)
    runs = _runs(tables, tiling.words, skips=skips)
    listed = skips and _listing_pays(tables, runs, tiling)
    if listed:
        runs = ()
    return TablePlan(form, (candidate,), tables, lanes, tiling.words, tiling.tiles, runs, requantize, listed=listed)


def words_stay(first: Table, second: Table, tables: RowTables) -> bool:
    """Whether the sums of ``first`` stay whole words for ``second``, whose numbers and rows are in ``tables``."""
    if not isinstance(first.requantization, ByteLanes) or tables.places.shape[1] > 1 or tables.low:
        return False
    return choose_lanes(second, tables).words(second.outputs) <= MOST_BEHIND


def registers_last(first: Table, second: Table, tables: RowTables) -> bool:
    """Whether these words stay in registers, too."""
    return words_fit(EIGHT.words(first.outputs), choose_lanes(second, tables).words(second.outputs))


def labels_beside(plan: TablePlan) -> bool:
    """Whether the label can be found while the scores of ``plan`` are in registers: they are sums, and few."""
    return plan.requantize is not None and plan.requantize.is_exact and plan.tiles == 1 and plan.words <= MOST_SCORES


def _listing_pays(tables: RowTables, runs: tuple[Run, ...], tiling: Tiling) -> bool:
    """Whether it is cheaper to list groups than to add ``runs``: for rows of so many words that few registers are left."""
    if tiling.words <= ROOMY_WORDS or len(tables.occupied) == 0 or not can_list(tables):
        return False
    inputs = bytes_of(tables)
    share = float(tables.occupied.sum(axis=1).mean()) / inputs
    added = tiling.tiles * price(runs, tables.occupied, cost.table_row(tiling.words))
    return cost.listed_rows(inputs, share, tiling.words, tiling.tiles) < added


def _runs(tables: RowTables, words: int, *, skips: bool) -> tuple[Run, ...]:
    if not skips or len(tables.occupied) == 0:
        return no_branches(tables.groups)
    return plan_branches(tables.occupied, cost.table_row(words))
