"""Plans a layer of tables: lanes, tiles, and the branches that skip blank groups."""

from __future__ import annotations

from dataclasses import replace

from ..network.inputformat import InputFormat
from ..network.layers import ByteLanes, Table
from . import cost
from .branches import Run, no_branches, plan_branches, price
from .features import KernelFeatures
from .lanes import FOUR, Lanes
from .lookup import lookup_of
from .partial import BYTE
from .plan import TABLES, Candidate, TablePlan
from .requantize import plan_clips
from .sample import SampleForm
from .scores import MOST_WORDS as MOST_SCORES
from .table_list import bytes_of, can_list
from .table_pixels import MOST_WORDS as MOST_COMPARED
from .table_pixels import Members
from .table_rows import MOST_WORDS, ROOMY_WORDS
from .table_tail import MOST_BEHIND, words_fit
from .tables import RowTables, choose_lanes
from .tile import MOST_WORDS as MOST_REQUANTIZED
from .tile import Tiling
from .values import OutputForm

_AS_IT_IS, _LOOKED_UP, _REQUANTIZED = 3.0, 4.0, 14.0
"""Instructions for an output that is its sum, that a table has, and that is computed."""


def plan_table(
    layer: Table, tables: RowTables, form: OutputForm, features: KernelFeatures, *, skips: bool, behind: bool = False
) -> TablePlan:
    """The cheapest plan of ``layer`` for the numbers and rows in ``tables``; without ``skips``, no branch skips a row.

    If it is ``behind`` a layer whose sums stay in registers, its sums have the lanes of :func:`words_stay`.
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
    runs = _runs(tables, best.words, skips=skips)
    if skips and not behind and _listing_pays(best, runs, features.largest_table):
        return replace(best, candidates=candidates, listed=True)
    return replace(best, candidates=candidates, runs=runs)


def _plan(tables: RowTables, form: OutputForm, features: KernelFeatures, lanes: Lanes, most: int, each: float) -> TablePlan:
    """With at most ``most`` words in a tile, and as many as a table may hold; an output costs ``each``."""
    fitting = features.largest_table // max(1, 8 * tables.groups * tables.numbers)
    tiling = Tiling.of(tables.outputs, lanes.count, max(1, min(most, fitting)))
    sums = cost.table_sums(tables.groups, tiling.words, tiling.tiles, tables.outputs, each)
    candidate = Candidate(
        TABLES, tables.groups, str(lanes), tiling.words, tiling.tiles, 1, sums, tables.bits * tables.places.shape[1]
    )
    return TablePlan(form, (candidate,), tables, lanes, tiling.words, tiling.tiles, ())


def words_stay(first: Table, second: Table, tables: RowTables, largest: int) -> bool:
    """Whether the sums of ``first`` stay whole words for ``second``, whose numbers and rows are in ``tables``.

    They do if ``second`` is one tile, also because no table is larger than ``largest`` bytes.
    """
    if not isinstance(first.requantization, ByteLanes) or tables.places.shape[1] > 1 or tables.low:
        return False
    words = choose_lanes(second, tables).words(second.outputs)
    return words <= MOST_BEHIND and 8 * words * tables.groups * tables.numbers <= largest


def registers_last(plan: TablePlan, second: Table, tables: RowTables) -> bool:
    """Whether the words of ``plan`` stay in registers, too, for ``second``."""
    return plan.tiles == 1 and words_fit(plan.words, choose_lanes(second, tables).words(second.outputs))


def labels_beside(plan: TablePlan) -> bool:
    """Whether the label can be found while the scores of ``plan`` are in registers: they are sums, and few."""
    return plan.requantize is not None and plan.requantize.is_exact and plan.tiles == 1 and plan.words <= MOST_SCORES


def compares(plan: TablePlan, form: InputFormat, sample: SampleForm) -> bool:
    """Whether a first layer makes its numbers of the values itself: one tile of few words, and a threshold that is even."""
    grouped = sample in (SampleForm.GATHERED_BITS, SampleForm.GROUPED_BITS) and form.thresholds[0] % 2 == 0
    return grouped and plan.tiles == 1 and plan.words <= MOST_COMPARED and not plan.listed


def members_of(form: InputFormat, layer: Table, sample: SampleForm) -> Members:
    """The values of each byte that a number is."""
    if sample is SampleForm.GROUPED_BITS:
        return tuple(tuple(sorted(member for member in group if member >= 0)) for group in layer.order.tolist())
    return tuple(tuple(range(start, min(start + BYTE, form.size))) for start in range(0, form.size, BYTE))


def _listing_pays(plan: TablePlan, runs: tuple[Run, ...], largest: int) -> bool:
    """Whether it is cheaper to list groups than to add ``runs``: for rows of so many words that few registers are left."""
    tables, words = plan.tables, plan.words
    if words <= ROOMY_WORDS or len(tables.occupied) == 0 or not can_list(tables):
        return False
    inputs = bytes_of(tables)
    share = float(tables.occupied.sum(axis=1).mean()) / inputs
    added = plan.tiles * price(runs, tables.occupied, cost.table_row(words))
    fits = 8 * words * inputs * tables.numbers <= largest
    return fits and cost.listed_rows(inputs, share, words, plan.tiles) < added


def _runs(tables: RowTables, words: int, *, skips: bool) -> tuple[Run, ...]:
    if not skips or len(tables.occupied) == 0:
        return no_branches(tables.groups)
    return plan_branches(tables.occupied, cost.table_row(words))
