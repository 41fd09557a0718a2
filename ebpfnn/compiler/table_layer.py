"""Writes a whole layer of tables, from the bytes that select its rows to the values of the next layer, or to scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..network.layers import ByteLanes, Table
from ..obj.asm import R8, R9
from .accumulate import emit_lane
from .emitter import Emitter, Place
from .outputs import TARGET, Source, Tables, Writing, emit_outputs
from .plan import TablePlan
from .requantize import RECORD, records
from .scores import SCORE, Leaders
from .table_list import ListAdder, bytes_of, emit_list, every_byte
from .table_pixels import PixelAdder
from .table_rows import SUMS, RowAdder
from .table_tail import Words, emit_word_rows
from .tables import row_words, seeds
from .tile import Part, Tiling
from .values import Values

_VALUE, _MASK = R8, R9
_ONES = 0x0101010101010101


def emit_table(emit: Emitter, layer: Table, plan: TablePlan, values: Values | Words, place: Place) -> None:
    """Writes the layer's outputs to ``place``, or leaves them in registers (:func:`whole_words`). No other survives."""
    tiling = Tiling(layer.outputs, plan.lanes.count, plan.words, plan.tiles)
    begin = plan.lookup.seeds if plan.lookup else seeds(layer, plan.tables)
    rows, start = row_words(plan.lanes, plan.tables, begin)
    if isinstance(values, Words):
        _emit_behind(emit, layer, plan, values, (rows, start), place, begin)
        return
    listed = emit_list(emit, bytes_of(plan.tables), values) if plan.listed else None
    parts = _rows(emit, _tiled(every_byte(rows, plan.tables) if listed else rows, tiling))
    tables = _constants(emit, layer, plan, begin)
    for tile in range(tiling.tiles):
        words = plan.lanes.words(tiling.size(tile))
        emit.note(f"{plan.tables.groups} rows of {words} words of {plan.lanes.count} lanes of {plan.lanes.bits} bits")
        for word in range(words):
            emit.wide(SUMS[word], int(start[tile * tiling.words + word]))
        if listed:
            ListAdder(emit, bytes_of(plan.tables), values, parts[tile], plan.words, words, listed).add()
        elif plan.compared:
            PixelAdder(emit, plan.tables, values, parts[tile], plan.words, words, members=plan.compared).add(plan.runs)
        else:
            RowAdder(emit, plan.tables, values, parts[tile], plan.words, words).add(plan.runs)
        if not plan.kept:
            _emit_tile(emit, layer, plan, tiling, tile, place, tables, begin)


def whole_words(layer: Table, plan: TablePlan, place: Place) -> Words | None:
    """Where the outputs are, if they are whole words."""
    by = layer.requantization
    return Words(by.shift, SUMS[: plan.words] if plan.kept else (), place) if plan.whole and isinstance(by, ByteLanes) else None


def _emit_behind(
    emit: Emitter,
    layer: Table,
    plan: TablePlan,
    words: Words,
    packed: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    place: Place,
    begin: NDArray[np.int64],
) -> None:
    """A layer behind one that left its outputs in registers; ``packed`` are its rows and what its words begin with."""
    emit.note(f"{plan.tables.groups} rows of {plan.words} words of {plan.lanes.count} lanes of {plan.lanes.bits} bits")
    (rows, start), sums = packed, words.sums(plan.words)
    table = emit.table("rows", rows)
    constants = _constants(emit, layer, plan, begin)
    for register, value in zip(sums, start.tolist(), strict=True):
        emit.wide(register, value)
    emit_word_rows(emit, plan.tables, table, words, plan.words)
    for into, register in zip(SUMS, sums, strict=False):
        if into != register:
            emit.mov(into, register)
    if not plan.kept:
        tiling = Tiling(layer.outputs, plan.lanes.count, plan.words, plan.tiles)
        _emit_tile(emit, layer, plan, tiling, 0, place, constants, begin)


def _rows(emit: Emitter, tiled: NDArray[np.uint64]) -> list[Part]:
    """The table of each tile: a part of one for all, or, if that would be too large, a table of its own."""
    each = tiled.nbytes // len(tiled)
    if tiled.nbytes <= emit.features.largest_table:
        name = emit.table("rows", tiled)
        return [Part(name, each, tile) for tile in range(len(tiled))]
    return [Part(emit.table(f"rows{tile}", rows), each) for tile, rows in enumerate(tiled)]


def _tiled(rows: NDArray[np.uint64], tiling: Tiling) -> NDArray[np.uint64]:
    """Rows [groups, rows, words] as [tiles, rows, groups, words of a tile]."""
    groups, numbers, words = rows.shape
    padded = np.zeros((groups, numbers, tiling.tiles * tiling.words), np.uint64)
    padded[:, :, :words] = rows
    return np.ascontiguousarray(padded.reshape(groups, numbers, tiling.tiles, tiling.words).transpose(2, 1, 0, 3))


def _constants(emit: Emitter, layer: Table, plan: TablePlan, begin: NDArray[np.int64]) -> Tables | None:
    """The constants of the outputs, if the sums are requantized."""
    by = layer.requantization
    if plan.requantize is None or isinstance(by, ByteLanes):
        return None
    if plan.lookup:
        part = Part(emit.table("outputs", plan.lookup.outputs), 0)
        return Tables(part, part, part, plan.requantize, np.zeros((0, RECORD // 8), np.int64), lookup=True)
    if plan.requantize.is_exact:
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
        _emit_bytes(emit, 0 if plan.whole else layer.requantization.shift, plan.lanes.words(outputs), place.at(first))
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
    """Writes sums that need no arithmetic but what each lane begins with, ``above``; and the label, if the plan says so."""
    emit.note(f"{outputs} sums are outputs" + (", and of these the label: the highest, of equals the first" * plan.labels))
    leaders = Leaders(emit, second=plan.margin)
    for number in range(outputs):
        emit_lane(emit, plan.lanes, SUMS, number, SCORE)
        if above[number]:
            emit.alu(SCORE, "+=", int(above[number]))
        emit.store("u32" if plan.output.width == 4 else "u8", TARGET, plan.output.width * number, SCORE)
        if plan.labels:
            leaders.see()
    if plan.labels:
        leaders.finish()
