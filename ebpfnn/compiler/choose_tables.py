"""Plans a layer of tables: lanes, tiles, and the branches that skip blank groups."""

from __future__ import annotations

from ..network.layers import ByteLanes, Table
from . import cost
from .branches import Run, no_branches, plan_branches
from .cost import table_sums
from .plan import TABLES, Candidate, TablePlan
from .requantize import plan_clips
from .scores import MOST_WORDS as MOST_SCORES
from .table_rows import MOST_WORDS
from .table_tail import words_fit
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
    price = table_sums(tables.groups, tiling.words, tiling.tiles, layer.outputs)
    candidate = Candidate(TABLES, tables.groups, str(lanes), tiling.words, tiling.tiles, 1, price, layer.bits)
    runs = _runs(tables, tiling.words, skips=skips)
    return TablePlan(form, (candidate,), tables, lanes, tiling.words, tiling.tiles, runs, requantize)


def sums_stay(first: Table, second: Table, tables: RowTables) -> bool:
    """Whether the sums of ``first`` stay in registers for ``second``, whose numbers and rows are in ``tables``."""
    if not isinstance(first.requantization, ByteLanes) or tables.places.shape[1] > 1 or tables.low:
        return False
    return words_fit(EIGHT.words(first.outputs), choose_lanes(second, tables).words(second.outputs))


def labels_beside(plan: TablePlan) -> bool:
    """Whether the label can be found while the scores of ``plan`` are in registers: they are sums, and few."""
    return plan.requantize is not None and plan.requantize.is_exact and plan.tiles == 1 and plan.words <= MOST_SCORES


def _runs(tables: RowTables, words: int, *, skips: bool) -> tuple[Run, ...]:
    if not skips or len(tables.occupied) == 0:
        return no_branches(tables.groups)
    return plan_branches(tables.occupied, cost.table_row(words))
