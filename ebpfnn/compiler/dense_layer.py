"""Writes a whole dense layer, from its input values to those of the next layer."""

from __future__ import annotations

from collections.abc import Callable

from ..network.layers import Dense
from .dense import emit_inputs, emit_sums
from .emitter import Emitter, Place
from .live import emit_live
from .outputs import TARGET, Source, Writing, build_lookup_tables, build_tables, emit_outputs
from .plan import LISTED, DensePlan
from .requantize import RECORD
from .rows import emit_row_sums, listed_bytes, row_table
from .table_list import emit_list
from .tile import Part, Parts, Tiling, emit_parts
from .values import Values

Sums = Callable[[int, tuple[Part, Part], int], Source]


def emit_dense(emit: Emitter, layer: Dense, plan: DensePlan, values: Values, place: Place) -> None:
    """Writes the layer's outputs to ``place``, in the plan's form. No register survives.

    ``values`` are in the form that the plan's rows need, if it has rows (:mod:`ebpfnn.compiler.sidebyside`).
    """
    products, width, bits = plan.products, plan.output.width, plan.output.bits if plan.output.levels else 8
    tiling = Tiling(layer.outputs, products.lanes.count, products.words, products.tiles)
    weights = row_table(products, plan.rows) if plan.rows else products.table()
    if plan.lookup:
        tables = build_lookup_tables(emit, products, weights, plan.lookup, plan.requantize)
    else:
        tables = build_tables(emit, layer, (products,), weights, plan.requantize)
    sums = _sums(emit, plan, values)

    def tile(number: int, parts: Parts) -> None:
        weights, seeds, constants, target = parts
        outputs = tiling.width if plan.iterated else tiling.size(number)
        first = None if plan.iterated else number * tiling.width
        with emit.scratch(4 * outputs) as left:
            source = sums(outputs, (weights, seeds), left)
            target.point(emit, TARGET)
            emit_outputs(emit, outputs, source, Writing(tables, width, width, bits), constants, first)

    parts = (
        Part(tables.weights.base, _tile_bytes(plan)),
        Part(tables.seeds.base, tables.seeds.stride // tiling.tiles),
        Part(tables.constants.base, 0 if plan.lookup else RECORD * tiling.width),
        Part(place, width * tiling.width // (8 // bits)),
    )
    emit_parts(emit, tiling.tiles, parts, tile, iterated=plan.iterated)


def _tile_bytes(plan: DensePlan) -> int:
    """The distance in bytes from the weights of a tile to those of the next, for the same input or row."""
    products = plan.products
    if plan.rows:
        return products.row
    return 8 * products.words if products.across else len(products.weights) * products.row


def _sums(emit: Emitter, plan: DensePlan, values: Values) -> Sums:
    """Prepares what the tiles share, and returns a function that writes the sums of one tile."""
    products, rows, kept = plan.products, plan.rows, plan.kept
    if rows:
        entries = emit_list(emit, listed_bytes(products.weights, rows.levels), values) if rows.listed else None
        return lambda outputs, parts, left: emit_row_sums(
            emit, products, rows, values, outputs, parts, left, kept=kept, listed=entries
        )
    if plan.live is not None:
        values = emit_live(emit, values, plan.live)
    listed = plan.shape == LISTED
    given = emit_inputs(emit, products, values, listed=listed, counted=plan.counted, gathered=plan.gathered)
    return lambda outputs, parts, left: emit_sums(emit, products, given, outputs, parts, left, kept=kept)
