"""Plans a layer of tables: lanes, tiles, and the branches that skip blank groups."""

from __future__ import annotations

from dataclasses import replace

from ..network.layers import ByteLanes, Table
from . import cost
from .branches import Run, no_branches, plan_branches
from .features import KernelFeatures
from .lanes import FOUR, Lanes
from .lookup import lookup_of
from .plan import TABLES, Candidate, TablePlan
from .requantize import plan_clips
from .scores import MOST_WORDS as MOST_SCORES
from .table_rows import MOST_WORDS
from .table_tail import words_fit
from .tables import EIGHT, RowTables, choose_lanes
from .tile import MOST_WORDS as MOST_REQUANTIZED
from .tile import Tiling
from .values import OutputForm

_AS_IT_IS, _LOOKED_UP, _REQUANTIZED = 3.0, 4.0, 14.0
"""Instructions for an output that is its sum, that a table has, and that is computed."""


def plan_table(
    layer: Table, tables: RowTables, form: OutputForm, features: KernelFeatures, *, skips: bool, behind: bool = False
) -> TablePlan:
    """The cheapest plan of ``layer`` for the numbers and rows in ``tables``; without ``skips``, no branch skips a row.

    If it is ``behind`` a layer whose sums stay in registers, its sums have the lanes of :func:`sums_stay`.
    """
    by, lanes = layer.requantization, choose_lanes(layer, tables)
    if isinstance(by, ByteLanes):
        plans = [_plan(tables, form, features, lanes, MOST_WORDS, _AS_IT_IS)]
    else:
        least, most = tables.lowest(), tables.highest()
        clips = plan_clips(by, least + tables.base, most + tables.base, masked=not features.unwalked)
        each = _AS_IT_IS if clips.is_exact else _REQUANTIZED
        plans = [replace(_plan(tables, form, features, lanes, MOST_REQUANTIZED, each), requantize=clips)]
        found = lookup_of(by, tables.base, least, most) if form.width == 1 and not behind else None
        if found:
            looked_up = _plan(tables, form, features, FOUR, MOST_WORDS, _LOOKED_UP)
            plans.append(replace(looked_up, requantize=clips, lookup=found))
    best, *others = sorted(plans, key=lambda plan: plan.candidates[0].cost)
    candidates = tuple(plan.candidates[0] for plan in (best, *others))
    return replace(best, candidates=candidates, runs=_runs(tables, best.words, skips=skips))


def _plan(tables: RowTables, form: OutputForm, features: KernelFeatures, lanes: Lanes, most: int, each: float) -> TablePlan:
    """With at most ``most`` words in a tile, and as many as a table may hold; an output costs ``each``."""
    fitting = features.largest_table // max(1, 8 * tables.groups * tables.numbers)
    tiling = Tiling.of(tables.outputs, lanes.count, max(1, min(most, fitting)))
    price = cost.table_sums(tables.groups, tiling.words, tiling.tiles, tables.outputs, each)
    candidate = Candidate(
        TABLES, tables.groups, str(lanes), tiling.words, tiling.tiles, 1, price, tables.bits * tables.places.shape[1]
    )
    return TablePlan(form, (candidate,), tables, lanes, tiling.words, tiling.tiles, ())


def sums_stay(first: Table, second: Table, given: RowTables, tables: RowTables, largest: int) -> bool:
    """Whether the sums of ``first`` stay in registers for ``second``, whose numbers and rows are ``given`` and in ``tables``.

    They do if each layer is one tile, also because no table is larger than ``largest`` bytes.
    """
    if not isinstance(first.requantization, ByteLanes) or tables.places.shape[1] > 1 or tables.low:
        return False
    words = EIGHT.words(first.outputs), choose_lanes(second, tables).words(second.outputs)
    sizes = (8 * many * each.groups * each.numbers for many, each in zip(words, (given, tables), strict=True))
    return words_fit(*words) and max(sizes) <= largest


def labels_beside(plan: TablePlan) -> bool:
    """Whether the label can be found while the scores of ``plan`` are in registers: they are sums, and few."""
    return plan.requantize is not None and plan.requantize.is_exact and plan.tiles == 1 and plan.words <= MOST_SCORES


def _runs(tables: RowTables, words: int, *, skips: bool) -> tuple[Run, ...]:
    if not skips or len(tables.occupied) == 0:
        return no_branches(tables.groups)
    return plan_branches(tables.occupied, cost.table_row(words))
