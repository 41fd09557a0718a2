"""A convolution, position by position: the channels of an output are lanes, as a dense layer's outputs are.

One multiplication by a value of the window serves as many channels as a word has lanes. The values of the window are at
constant offsets from its first value, and padding is stored in memory around the image, so the code of a position needs no
branch. If the sample is mostly zero, two kinds of branches pay: one skips a row of the window that is blank, and one skips a
blank window, whose outputs are known at compile time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..network.layers import Conv2d, image_shape
from ..obj.asm import R0, R1, R9, R10, Register
from .accumulate import ACCUMULATORS, INPUT, ROW, Products, emit_flush, emit_neighbors, emit_products, emit_seeds
from .choose_conv import channels_at_a_time, runs
from .conv_list import WindowLists, emit_listed_products, emit_lists, list_bytes, padding_bytes
from .emitter import FARTHEST, Emitter
from .outputs import RECORDS, TARGET, Source, Tables, Writing, build_tables, emit_outputs, emit_requantized
from .plan import ConvPlan, ConvTile
from .positions import Axis, axes, emit_positions, emit_window
from .requantize import RECORD, blank_outputs
from .tile import Part, Parts, emit_parts
from .values import Values

_WINDOW = R9
_HALF = 4  # bytes of half a word


def emit_conv(emit: Emitter, layer: Conv2d, plan: ConvPlan, values: Values, output: Values) -> None:
    """Writes the layer's outputs to ``output``, in the plan's form. No register survives.

    ``values`` has the edge that the layer needs, filled with its padding.
    """
    if plan.listed:
        rows, columns = image_shape(output.shape)[1:]
        with emit.lent(rows * columns * list_bytes(plan.groups[0])) as place:
            lists = WindowLists(place, plan.groups[0], values, (rows, columns))
            emit_lists(emit, layer, lists, output, plan.unwalked_lists)
            _emit_groups(emit, layer, plan, values, output, lists)
    else:
        _emit_groups(emit, layer, plan, values, output, None)


def _emit_groups(
    emit: Emitter, layer: Conv2d, plan: ConvPlan, values: Values, output: Values, lists: WindowLists | None
) -> None:
    weights = np.stack([each.table() for each in plan.groups])
    tables = build_tables(emit, layer, plan.groups, weights, plan.requantize)
    if lists and isinstance(tables.weights.base, str):
        emit.pad(tables.weights.base, padding_bytes(plan.groups[0]))
    outputs, width = layer.outputs // layer.groups, plan.output.width
    parts: Parts = (
        tables.weights,
        tables.seeds,
        tables.constants,
        Part(lists.place if lists else values.place, layer.inputs // layer.groups * values.plane),
        Part(output.place.at(width * output.first), width * outputs * output.plane),
    )

    def group(number: int, parts_of_group: Parts) -> None:
        for tile in range(len(plan.tiles)):
            _Tile(emit, layer, plan, tables, values, output, lists, number, tile).emit(parts_of_group)

    if plan.over_tiles:
        products = plan.groups[0]
        steps = (
            products.row * len(products.weights),
            *_tile_steps(products),
            0,
            width * products.width * output.plane,
        )
        parts = tuple(replace(part, stride=step) for part, step in zip(parts, steps, strict=True))
    emit_parts(emit, plan.groups[0].tiles if plan.over_tiles else len(plan.groups), parts, group, iterated=plan.iterated)


def _tile_steps(products: Products) -> tuple[int, int]:
    """Bytes of seeds and of constants from a tile to the next."""
    return products.words * len(products.ends) * 8, RECORD * products.width


@dataclass(frozen=True)
class _Tile:
    """One tile of the channels of one group, at every position."""

    assembler: Emitter
    layer: Conv2d
    plan: ConvPlan
    tables: Tables
    values: Values
    output: Values
    lists: WindowLists | None
    group: int
    tile: int

    @property
    def products(self) -> Products:
        return self.plan.groups[0]

    @property
    def decided(self) -> ConvTile:
        return self.plan.tiles[self.tile]

    def emit(self, parts: Parts) -> None:
        """Writes the loops over all positions."""
        emit, products, tile = self.assembler, self.products, self.tile
        weights, seeds, constants, window, target = parts
        steps = _tile_steps(products)
        weights = weights.at(tile * products.row * len(products.weights))
        seeds, constants = seeds.at(tile * steps[0]), constants.at(tile * steps[1])
        width = self.plan.output.width
        target = target.at(tile * products.width * self.output.plane * width)
        outputs = self.decided.outputs
        first = (self.group * products.tiles + tile) * products.width
        how = Writing(self.tables, width, width * self.output.plane)

        def position(window_slot: int, target_slot: int) -> None:
            done = emit.fresh("position")
            if self.decided.asks_blank:
                self._emit_blank(window_slot, target_slot, outputs, how, done)
            with emit.scratch(self.plan.sums_on_stack(outputs)) as left:
                source = self._emit_sums(window_slot, outputs, (weights, seeds), left)
                emit.load(TARGET, "u64", R10, target_slot)
                emit_outputs(emit, outputs, source, how, constants, None if self.plan.iterated else first)
            emit.label(done)

        def neighbors(count: int, window_slot: int, target_slot: int) -> None:
            self._emit_neighbors(count, window_slot, (weights, seeds))
            constants.point(emit, RECORDS)
            for column in range(count):
                emit.load(TARGET, "u64", R10, target_slot)
                source = Source(products.lanes, (ACCUMULATORS[column],))
                emit_requantized(emit, outputs, source, how, None if self.plan.iterated else first, column * width)

        rows, columns = axes(self.layer.window.stride, self.values, self.output, planes=False)
        if self.lists:
            over_lists = zip((rows, columns), self.lists.loops, strict=True)
            rows, columns = (axis._replace(window=each.window) for axis, each in over_lists)
        for run in runs(columns.turns, self.decided.columns):
            body = partial(neighbors, run.columns) if self.decided.columns > 1 else position
            along = Axis(run.turns, run.columns * columns.window, run.columns * columns.target * width)
            loops = rows._replace(target=rows.target * width), along
            places = window.at(run.start * columns.window).place, target.at(run.start * columns.target * width).place
            emit_positions(emit, loops, *places, body, min(self.decided.unwalked, 1 + (run.turns > 1)))

    def _emit_neighbors(self, count: int, window: int, parts: Parts) -> None:
        """The sums of ``count`` neighboring positions, in an accumulator each."""
        emit, products = self.assembler, self.products
        weights, seeds = parts
        emit.note(
            f"the {len(products.weights)} values of {count} windows, a word of {products.lanes.bits} bits a lane for each"
        )
        seeds.point(emit, ROW)
        emit.load(ACCUMULATORS[0], "u64", ROW)
        for accumulator in ACCUMULATORS[1:count]:
            emit.mov(accumulator, ACCUMULATORS[0])
        emit.load(_WINDOW, "u64", R10, window)
        self._emit_taps(0, len(products.weights), count, weights, looped=self.decided.channel_loops[0])

    def _emit_sums(self, window: int, outputs: int, parts: Parts, left: int) -> Source:
        emit, products = self.assembler, self.products
        weights, seeds = parts
        words = products.lanes.words(outputs)
        for segment, (start, end) in enumerate(zip(products.starts, products.ends, strict=True)):
            emit.note(f"values {start}..{end - 1} of a window into {words} words of {products.lanes.bits} bits a lane")
            seeds.point(emit, ROW)
            emit_seeds(emit, words, 8 * segment * products.words)
            if self.lists:
                emit_listed_products(emit, self.lists, segment, words, weights, window)
            else:
                emit.load(_WINDOW, "u64", R10, window)
                self._emit_taps(start, end, words, weights, looped=self.decided.channel_loops[segment])
            if not self.plan.kept or segment < len(products.ends) - 1:
                emit_flush(emit, products.lanes, outputs, left, first=segment == 0)
        return Source.of(products.lanes, left, len(products.ends), kept=self.plan.kept)

    def _emit_taps(self, start: int, end: int, words: int, weights: Part, *, looped: bool) -> None:
        emit, row = self.assembler, self.products.row
        channel = self.layer.window.kernel[0] * self.layer.window.kernel[1]
        weights.point(emit, ROW, start * row)
        if not looped:
            offsets = self.values.offsets(end // channel + 1, self.layer.window)
            self._emit_run(offsets[start:end], words)
            return
        emit.alu(_WINDOW, "+=", start // channel * self.values.plane)
        at_a_time = channels_at_a_time((end - start) // channel, channel * words)

        def turn() -> None:
            if self.decided.row_loops:
                self._emit_rows(words)
                return
            moved = self._emit_run(self.values.offsets(at_a_time, self.layer.window), words)
            emit.alu(_WINDOW, "+=", at_a_time * self.values.plane)
            emit.alu(ROW, "+=", at_a_time * channel * row - moved)

        with emit.scratch(8) as counter:
            emit.repeat((end - start) // channel // at_a_time, counter, INPUT, turn)

    def _emit_rows(self, words: int) -> None:
        """A channel of a window that is too large to be written out."""
        emit, kernel, values = self.assembler, self.layer.window.kernel, self.values

        def piece(count: int) -> None:
            self._emit_run(tuple(range(count)), words)
            emit.alu(ROW, "+=", count * self.products.row)

        emit_window(emit, kernel, values.row, _WINDOW, INPUT, piece)
        emit.alu(_WINDOW, "+=", values.plane - kernel[0] * values.row)

    def _emit_run(self, offsets: tuple[int, ...], words: int) -> int:
        """Values at ``offsets`` of a window; says how many bytes ``ROW`` was moved, since no offset of a load is that large."""
        emit, row = self.assembler, self.products.row
        moved = at = 0
        for part in self._parts(offsets):
            if at + len(part) * row - moved > FARTHEST:
                emit.alu(ROW, "+=", at - moved)
                moved = at
            blank = emit.fresh("blank")
            if self.plan.skips_rows:
                self._emit_skip(part[0], len(part), blank)
            for offset in part:
                if self.decided.columns > 1:
                    emit_neighbors(emit, [self._loading(offset, column) for column in range(words)], at - moved)
                else:
                    self.values.load(emit, INPUT, _WINDOW, offset)
                    emit_products(emit, words, at - moved)
                at += row
            emit.label(blank)
        return moved

    def _loading(self, offset: int, column: int) -> Callable[[Register], None]:
        """Loads the value at ``offset`` of the window ``column`` columns on."""
        beyond = offset + column * self.layer.window.stride[1]
        return lambda register: self.values.load(self.assembler, register, _WINDOW, beyond)

    def _parts(self, offsets: tuple[int, ...]) -> list[tuple[int, ...]]:
        """What a branch may go round, or else what is near enough for loads of weights."""
        if self.plan.skips_rows:
            return _rows(offsets)
        most = FARTHEST // self.products.row
        return [offsets[start : start + most] for start in range(0, len(offsets), most)]

    def _emit_skip(self, offset: int, columns: int, blank: str) -> None:
        """Jumps to ``blank`` if the values of a row are all 0: one load reads them; a shift removes the bytes after them."""
        emit = self.assembler
        emit.load_far(INPUT, "u64" if columns > _HALF else "u32", _WINDOW, offset)
        if columns not in (_HALF, 2 * _HALF):
            emit.alu(INPUT, "<<=", 64 - 8 * columns)
        emit.jump_if(INPUT, "==", 0, blank)

    def _emit_blank(self, window: int, target: int, outputs: int, how: Writing, done: str) -> None:
        """If every byte of the window is 0, writes the outputs of a blank window."""
        emit, kernel = self.assembler, self.layer.window.kernel
        emit.load(_WINDOW, "u64", R10, window)
        emit.mov(R0, 0)
        for offset in range(0, kernel[0] * self.values.row, self.values.row):
            emit.load_far(R1, "u64", _WINDOW, offset)
            emit.alu(R0, "|=", R1)
        emit.alu(R0, "<<=", 64 - 8 * kernel[1])
        filled = emit.fresh("filled")
        emit.jump_if(R0, "!=", 0, filled)
        start = self.group * (self.layer.outputs // self.layer.groups) + self.tile * self.products.width
        known = blank_outputs(self.layer)[start : start + outputs]
        emit.load(TARGET, "u64", R10, target)
        for number, value in enumerate(known.tolist()):
            emit.store(how.size, TARGET, number * how.apart, value)
        emit.goto(done)
        emit.label(filled)


def _rows(offsets: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Cuts ``offsets`` into runs of consecutive bytes, at most eight each: the bytes that one load can read."""
    rows = [[offsets[0]]]
    for offset in offsets[1:]:
        if offset == rows[-1][-1] + 1 and len(rows[-1]) < 2 * _HALF:
            rows[-1].append(offset)
        else:
            rows.append([offset])
    return [tuple(row) for row in rows]
