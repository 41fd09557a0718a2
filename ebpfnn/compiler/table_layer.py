"""Writes a whole layer of tables, from the bytes that select its rows to the values of the next layer, or to scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..network.layers import ByteLanes, Table
from ..obj.asm import R7, R8, R9
from .accumulate import emit_lane
from .emitter import Emitter, Place
from .outputs import TARGET, Source, Tables, Writing, emit_outputs
from .plan import TablePlan
from .requantize import RECORD, records
from .table_rows import SUMS, RowAdder
from .tables import row_words, seeds
from .tile import Part, Tiling
from .values import Values

_VALUE, _MASK = R8, R9
_ONES = 0x0101010101010101


def emit_table(emit: Emitter, layer: Table, plan: TablePlan, values: Values, place: Place) -> None:
    """Writes the layer's outputs to ``place``. No register survives."""
    tiling = Tiling(layer.outputs, plan.lanes.count, plan.words, plan.tiles)
    begin = seeds(layer, plan.tables)
    rows, start = row_words(plan.lanes, plan.tables, begin)
    tiled = _tiled(rows, tiling)
    part = Part(emit.table("rows", tiled), tiled.nbytes // tiling.tiles)
    tables = _constants(emit, layer, plan, begin)
    for tile in range(tiling.tiles):
        words = plan.lanes.words(tiling.size(tile))
        emit.note(f"{plan.tables.groups} rows of {words} words of {plan.lanes.count} lanes of {plan.lanes.bits} bits")
        for word in range(words):
            emit.wide(SUMS[word], int(start[tile * tiling.words + word]))
        RowAdder(emit, plan.tables, values, Part(part.base, part.stride, tile), plan.words, words).add(plan.runs)
        _emit_tile(emit, layer, plan, tiling, tile, place, tables, begin)


def _tiled(rows: NDArray[np.uint64], tiling: Tiling) -> NDArray[np.uint64]:
    """Rows [groups, rows, words] as [tiles, rows, groups, words of a tile]."""
    groups, numbers, words = rows.shape
    padded = np.zeros((groups, numbers, tiling.tiles * tiling.words), np.uint64)
    padded[:, :, :words] = rows
    return np.ascontiguousarray(padded.reshape(groups, numbers, tiling.tiles, tiling.words).transpose(2, 1, 0, 3))


def _constants(emit: Emitter, layer: Table, plan: TablePlan, begin: NDArray[np.int64]) -> Tables | None:
    """The constants of the outputs, if the sums are requantized."""
    by = layer.requantization
    if plan.requantize is None or isinstance(by, ByteLanes) or plan.requantize.is_exact:
        return None
    found = records(by, plan.tables.base, begin)
    part = Part(emit.table("constants", found), RECORD * plan.lanes.count * plan.words)
    return Tables(part, part, part, plan.requantize, found)


def _emit_tile(
    emit: Emitter,
    layer: Table,
    plan: TablePlan,
    tiling: Tiling,
    tile: int,
    place: Place,
    tables: Tables | None,
    begin: NDArray[np.int64],
) -> None:
    outputs, first = tiling.size(tile), tile * tiling.width
    if isinstance(layer.requantization, ByteLanes):
        _emit_bytes(emit, layer.requantization.shift, plan.lanes.words(outputs), place.at(first))
        return
    emit.point(TARGET, place.at(plan.output.width * first))
    if tables:
        how, source = Writing(tables, plan.output.width, plan.output.width), Source(plan.lanes, SUMS)
        constants = Part(tables.constants.base, tables.constants.stride, tile)
        emit_outputs(emit, outputs, source, how, constants, first)
        return
    _emit_exact(emit, plan, outputs, plan.tables.base[first:] - begin[first:])


def _emit_bytes(emit: Emitter, shift: int, words: int, place: Place) -> None:
    """Writes the bytes of the words, shifted."""
    emit.note(f"{words} words become bytes")
    emit.point(_VALUE, place)
    if shift:
        emit.wide(_MASK, (255 >> shift) * _ONES)
    for word in range(words):
        if shift:
            emit.alu(SUMS[word], ">>=", shift)
            emit.alu(SUMS[word], "&=", _MASK)
        emit.store("u64", _VALUE, 8 * word, SUMS[word])


def _emit_exact(emit: Emitter, plan: TablePlan, outputs: int, above: NDArray[np.int64]) -> None:
    """Writes sums that need no arithmetic but what each lane begins with, ``above``."""
    emit.note(f"{outputs} sums are outputs")
    for number in range(outputs):
        emit_lane(emit, plan.lanes, SUMS, number, R7)
        if above[number]:
            emit.alu(R7, "+=", int(above[number]))
        emit.store("u32" if plan.output.width == 4 else "u8", TARGET, plan.output.width * number, R7)
