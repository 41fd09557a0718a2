"""Estimates the size of code from its plan: tables exactly; walked instructions and pending branches approximately.

The figures follow the code of the modules named in each function. A loop that the verifier does not walk counts as
:func:`~ebpfnn.compiler.emitter.walks` iterations.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from ..network import QuantizedNetwork
from ..network.inputformat import InputFormat
from ..network.layers import Conv2d, Layer, MaxPool, Shape, Table, Window, image_shape
from .accumulate import Products
from .choose_conv import channels_at_a_time, runs
from .conv_list import GROUP, GROUPS_OF_A_TURN, listing_size, padding_bytes, turns_of
from .dense import AT_A_TIME
from .emitter import walks
from .error import AT_A_TIME as COMPARED_AT_A_TIME
from .error import EACH as ERROR_SIZE
from .features import KernelFeatures
from .groups import pieces
from .join import AT_A_TIME as JOINED_AT_A_TIME
from .join import COPIED_AT_A_TIME, table_bytes
from .nonzero import TABLE_BYTES as NONZERO_BYTES
from .partial import BYTE, RowShape
from .plan import LISTED, SUM, AnyLayerPlan, ConvPlan, ConvTile, DensePlan, ErrorPlan, Estimate, JoinPlan, PoolPlan, TablePlan
from .positions import VALUES_AT_A_TIME
from .requantize import CLIP_BYTES, RECORD, RequantizePlan, clip_name
from .rows import MOST_WORDS as MOST_ROW_WORDS
from .rows import ROWS, listed_bytes, live_groups
from .sample import SampleForm
from .table_list import TABLE_BYTES as LISTING_BYTES
from .table_list import bytes_of
from .table_pixels import asked_work, number_work
from .table_rows import ROOMY_WORDS
from .tile import Tiling
from .values import Edge, plane_size

_LOOP = 4  # instructions per iteration of a loop with its counter on the stack
_DENSE_PARTS, _CONV_PARTS = 4, 5  # addresses that an iteration over tiles or groups computes
_ADDRESS = 2  # instructions that load an address


@dataclass(frozen=True)
class _Work:
    """Walked instructions, and pending branches."""

    instructions: float = 0
    forks: int = 0

    def __add__(self, other: _Work) -> _Work:
        return _Work(self.instructions + other.instructions, self.forks + other.forks)

    def __mul__(self, times: int) -> _Work:
        return _Work(self.instructions * times, self.forks * times)


class _Loops(NamedTuple):
    """Loops that are not walked: whether they are of iterators, and how many of their iterations are walked nevertheless."""

    iterators: bool
    walks: int


def estimate(
    network: QuantizedNetwork,
    features: KernelFeatures,
    sample: SampleForm,
    layers: tuple[AnyLayerPlan, ...],
    *,
    tight: bool = False,
) -> tuple[Estimate, ...]:
    """The estimate of each layer.

    The first layer includes the conversion of the sample, and the first that needs it a table that layers share.
    """
    found, lists, clips = [], 0, set[str]()
    loops = _Loops(features.iterators, walks(tight=tight))
    for number, (layer, plan) in enumerate(zip(network.layers, layers, strict=True)):
        shapes = network.given_shapes(number)
        given, (low, _) = shapes[0], network.given_ranges(number)[0]
        value = 3 if low < 0 and not features.sign_extension else 1
        work, size = _sample(network.input, sample, layer) if number == 0 else (_Work(), 0)
        if isinstance(plan, DensePlan):
            work, size = work + _dense(plan, value, sample if number == 0 else None, loops), size + _dense_tables(plan)
            size += NONZERO_BYTES if plan.shape == LISTED and not lists else 0
            lists += plan.shape == LISTED
        elif isinstance(plan, ConvPlan) and isinstance(layer, Conv2d):
            work, size = work + _conv(layer, plan, given, value, loops), size + _conv_tables(plan)
        elif isinstance(layer, Table) and isinstance(plan, TablePlan):
            work, size = work + _table(plan, layer.outputs), size + _table_tables(plan, layer.outputs)
        elif isinstance(layer, MaxPool) and isinstance(plan, PoolPlan):
            work += _pool(layer, plan, given, value, loops)
        elif isinstance(plan, JoinPlan):
            work, size = work + _join(plan, loops), size + table_bytes(plan)
        elif isinstance(plan, ErrorPlan):
            work += _error(plan, loops)
        if (clip := _clip_table(plan)) and clip not in clips:
            clips.add(clip)
            size += CLIP_BYTES
        work += _edge(layer.output_shape(*shapes), plan.output.edge)
        found.append(Estimate(round(work.instructions), work.forks, size))
    return tuple(found)


def _clip_table(plan: AnyLayerPlan) -> str:
    """The name of the table that clips the outputs of a layer; "" if none does."""
    if isinstance(plan, ConvPlan) or (isinstance(plan, DensePlan) and not plan.lookup):
        return clip_name(plan.requantize) if plan.requantize.by_table else ""
    return ""


def _sample(form: InputFormat, how: SampleForm, layer: Layer) -> tuple[_Work, int]:
    """The code of :mod:`~ebpfnn.compiler.sample`, and its table."""
    if how is SampleForm.GROUPED_BITS and isinstance(layer, Table):
        loads = sum(len(pieces(sorted(member for member in members if member >= 0))) for members in layer.order.tolist())
        return _Work(11 + 3 * loads + 6 * len(layer.order)), 0
    work, size = _levels(form, how)
    return work + _Work(2 * len(form.order)), size


def _levels(form: InputFormat, how: SampleForm) -> tuple[_Work, int]:
    eights = -(-form.size // BYTE)
    match how:
        case SampleForm.TABLE_LEVELS:
            return _Work(form.sample_bytes * (7 + 6 / 8)), 256 * (BYTE // form.bits if form.packed else 1)
        case SampleForm.OWN_LEVELS | SampleForm.OWN_SIDE_BY_SIDE:
            return _Work(5 + form.size * (4 + 7 / 8)), 256 * form.size
        case SampleForm.EVEN_LEVELS | SampleForm.EVEN_SIDE_BY_SIDE:
            return _Work(10 + eights * 21), 0
        case SampleForm.GATHERED_BITS:
            return _Work(10 + eights * 10), 0
        case _:
            return _Work(), 0


# Dense layers


def _dense(plan: DensePlan, value: int, sample: SampleForm | None, loops: _Loops) -> _Work:
    """The code of :mod:`~ebpfnn.compiler.dense_layer`; ``value`` instructions load an input."""
    products = plan.products
    tiling = Tiling(len(products.weights.T), products.lanes.count, products.words, products.tiles)
    shared = _Work(_ADDRESS * 2 + 2 * plan.live.size / 7) if plan.live is not None else _Work()
    if plan.shape == LISTED:
        shared += _lists(products)
        shared += _gathering(products, value) if plan.gathered else _Work()
    if plan.rows and plan.rows.listed:
        shared += _listing(listed_bytes(products.weights, plan.rows.levels))
    if plan.iterated:
        return shared + _unwalked(_tile(plan, products.width, value, sample), _DENSE_PARTS, loops)
    return sum((_tile(plan, size, value, sample) for size in map(tiling.size, range(tiling.tiles))), shared)


def _tile(plan: DensePlan, outputs: int, value: int, sample: SampleForm | None) -> _Work:
    products, words = plan.products, plan.products.lanes.words(outputs)
    work = _Work()
    for start, end in zip(products.starts, products.ends, strict=True):
        work += _Work(_ADDRESS + words)
        work += (
            _rows(plan.rows, products, words, (start, end), sample) if plan.rows else _inputs(plan, words, end - start, value)
        )
    flushes = len(products.ends) - plan.kept
    work += _Work(outputs * (4.7 * flushes))
    if plan.lookup:
        return work + _Work(2 * _ADDRESS + words + outputs * (4 if plan.output.bits == BYTE else 5))
    return work + _Work(2 * _ADDRESS) + _requantize(plan.requantize, known=not plan.iterated) * outputs


def _inputs(plan: DensePlan, words: int, inputs: int, value: int) -> _Work:
    """One segment by multiplication, :mod:`~ebpfnn.compiler.dense` and :mod:`~ebpfnn.compiler.gathered`."""
    straight = _Work(inputs * (value + 3 * words) + -(-inputs // AT_A_TIME) * (2 + _LOOP))
    if plan.shape != LISTED:
        return straight
    each = 5 if plan.gathered else 7 + value
    turns = inputs // AT_A_TIME + 1
    listed = _Work(AT_A_TIME * (each + 3 * words) + 1 + _LOOP, AT_A_TIME) * turns + _Work(10)
    return listed + straight + _Work(4, 1) if plan.counted else listed


def _lists(products: Products) -> _Work:
    """:mod:`~ebpfnn.compiler.nonzero`."""
    return _Work(10 + len(products.weights) / BYTE * 20.7 + 9 * len(products.ends))


def _gathering(products: Products, value: int) -> _Work:
    turns = sum((end - start) // AT_A_TIME + 1 for start, end in zip(products.starts, products.ends, strict=True))
    return _Work(AT_A_TIME * (8 + value) + 2 + _LOOP, AT_A_TIME) * turns


def _rows(shape: RowShape, products: Products, words: int, segment: tuple[int, int], sample: SampleForm | None) -> _Work:
    """One segment by :mod:`~ebpfnn.compiler.rows`."""
    start, end = segment
    groups = sum(start <= group * shape.levels < end for group in live_groups(products.weights, shape.levels))
    compared = sample is SampleForm.COMPARED
    each = 3 + 2 * words + 14 * compared
    if shape.listed:
        inputs = listed_bytes(products.weights, shape.levels)
        return _Work(12 + 2 * words, 1) * inputs
    if shape.skipping:
        again = words == MOST_ROW_WORDS or compared
        return _Work(each + 1 + _ADDRESS + again, 1) * groups
    return _Work(each + (0 if words + 2 <= MOST_ROW_WORDS else 1 + _ADDRESS)) * groups


def _dense_tables(plan: DensePlan) -> int:
    products, rows = plan.products, plan.rows
    size = products.tiles * products.row * len(products.weights)
    if plan.products.across:
        size = 8 * products.words * products.tiles * len(products.weights)
    if rows:
        groups = len(live_groups(products.weights, rows.levels))
        size = products.row * products.tiles * (groups * rows.rows + (0 if rows.skipping else ROWS - rows.rows))
        if rows.listed:
            every = listed_bytes(products.weights, rows.levels)
            size = products.row * products.tiles * every * rows.rows + LISTING_BYTES
    seeds = 8 * products.words * products.tiles
    if plan.lookup:
        return max(size, 8) + seeds + len(plan.lookup.outputs)
    return max(size, 8) + seeds * len(products.ends) + RECORD * products.width * products.tiles


# Convolutions and pools


def _conv(layer: Conv2d, plan: ConvPlan, given: Shape, value: int, loops: _Loops) -> _Work:
    """The code of :mod:`~ebpfnn.compiler.conv`."""
    _, rows, columns = image_shape(layer.output_shape(given))
    work = _Work()
    for tile in plan.tiles:
        for run in runs(columns, tile.columns):
            unwalked = min(tile.unwalked, 1 + (run.turns > 1))
            work += _positions((rows, run.turns), unwalked, _position(layer, plan, tile, run.columns, value), loops)
    copied = _copied(given, layer.window) if plan.copied else _Work()
    if plan.listed:
        copied += _positions((rows, columns), plan.unwalked_lists, _Work(3 + listing_size(plan.groups[0])), loops)
    if plan.iterated:
        return copied + _unwalked(work, _CONV_PARTS, loops)
    return copied + work * len(plan.groups)


def _position(layer: Conv2d, plan: ConvPlan, tile: ConvTile, columns: int, value: int) -> _Work:
    products, words = plan.groups[0], plan.groups[0].lanes.words(tile.outputs)
    taps, rows = len(products.weights), layer.inputs // layer.groups * layer.window.kernel[0]
    work = _Work(1) + _Work(_ADDRESS * 2 + words + 1) * len(products.ends)
    if plan.listed:
        work += _listed_products(products, words, value)
    else:
        work += _Work(taps * (1 + columns * (value + 2))) if tile.columns > 1 else _Work(taps * (value + 3 * words))
    work += _Work(3, 1) * rows if plan.skips_rows else _Work()
    work += _Work(2 * layer.window.kernel[0] + 5 + tile.outputs, 1) if tile.asks_blank else _Work()
    loops = sum(
        end - start for start, end, loop in zip(products.starts, products.ends, tile.channel_loops, strict=True) if loop
    )
    taps_of_one = prod(layer.window.kernel)
    channels = loops // taps_of_one
    at_a_time = channels_at_a_time(channels, taps_of_one * words * columns) if channels else 1
    work += _Work((2 + _LOOP) * channels / at_a_time)
    work += _window_loops(layer.window) * channels if tile.row_loops else _Work()
    work += _Work(4.7 * tile.outputs) * (len(products.ends) - plan.kept)
    return work + _requantize(plan.requantize, known=not plan.iterated, kept=plan.kept) * (tile.outputs * columns)


def _listed_products(products: Products, words: int, value: int) -> _Work:
    """:func:`~ebpfnn.compiler.conv_list.emit_listed_products` of all segments."""
    each = GROUP * (4 + value + 3 * words)
    turns = sum(turns_of(end - start) for start, end in zip(products.starts, products.ends, strict=True))
    turn = _Work(each, 1) * GROUPS_OF_A_TURN + _Work(1 + _LOOP)
    return turn * turns + _Work(_ADDRESS + 8) * len(products.ends)


def _table(plan: TablePlan, outputs: int) -> _Work:
    """The code of :mod:`~ebpfnn.compiler.table_layer`."""
    tiling = Tiling(outputs, plan.lanes.count, plan.words, plan.tiles)
    listing = _listing(bytes_of(plan.tables)) if plan.listed else _Work()
    return sum((_table_tile(plan, tiling.size(tile)) for tile in range(tiling.tiles)), listing)


def _listing(inputs: int) -> _Work:
    """:func:`~ebpfnn.compiler.table_list.emit_list`."""
    return _Work(3 * _ADDRESS + 8 + 17 * -(-inputs // BYTE))


def _table_tile(plan: TablePlan, outputs: int) -> _Work:
    words, tables = plan.lanes.words(outputs), plan.tables
    if plan.behind:
        return _Work(3 * words + _ADDRESS + tables.groups * (4 + 2 * words)) + _table_outputs(plan, words, outputs)
    if plan.listed:
        inputs = bytes_of(tables)
        return _Work(2 * words + inputs * (12 + 2 * words), inputs) + _table_outputs(plan, words, outputs)
    members, roomy = int((tables.places >= 0).sum()), words <= ROOMY_WORDS
    masked = tables.places.shape[1] > 1 or (not tables.low and tables.bits < BYTE)
    made = 2 * (members - tables.groups) + tables.groups * masked
    numbers = members * (1 + 2 * bool(tables.low) + (not roomy)) + made
    if plan.compared:
        numbers = 4 + sum(number_work(plan.compared[place], words) for place in tables.places[:, 0].tolist())
    work = _Work(2 * words + 2 * _ADDRESS + numbers + tables.groups * ((2 if roomy else 4) + 2 * words))
    for run in plan.runs:
        if run.asks:
            places = tables.places[run.start : run.end, 0].tolist()
            work += _Work(asked_work(plan.compared, places) if plan.compared else 1 + 2 * (run.size > 1), 1)
    return work if plan.kept else work + _table_outputs(plan, words, outputs)


def _table_outputs(plan: TablePlan, words: int, outputs: int) -> _Work:
    """From the sums of a tile to its outputs, and to the label."""
    if plan.lookup:
        return _Work(2 * _ADDRESS + words + 4 * outputs)
    if plan.requantize is None:
        return _Work(3 * words + _ADDRESS)
    if plan.requantize.is_exact:
        return _Work(_ADDRESS + 4.7 * outputs) + (_label(outputs, margin=plan.margin) if plan.labels else _Work())
    return _Work(2 * _ADDRESS) + _requantize(plan.requantize, known=True) * outputs


def _label(classes: int, *, margin: bool) -> _Work:
    """The code of :class:`~ebpfnn.compiler.scores.Leaders`."""
    return _Work((15 if margin else 8) * classes + 4)


def _table_tables(plan: TablePlan, outputs: int) -> int:
    """Of rows, and of constants; an empty table has a word."""
    groups = bytes_of(plan.tables) if plan.listed else plan.tables.groups
    rows = (8 * plan.words * plan.tiles * groups * plan.tables.numbers or 8) + LISTING_BYTES * plan.listed
    if plan.lookup:
        return rows + plan.lookup.outputs.nbytes
    constants = plan.requantize is not None and not plan.requantize.is_exact
    return rows + RECORD * outputs * constants


def _conv_tables(plan: ConvPlan) -> int:
    products = plan.groups[0]
    words = 8 * products.words * len(products.ends) + RECORD * products.width
    behind = padding_bytes(products) if plan.listed else 0
    return len(plan.groups) * products.tiles * (products.row * len(products.weights) + words) + behind


def _pool(layer: MaxPool, plan: PoolPlan, given: Shape, value: int, loops: _Loops) -> _Work:
    """The code of :mod:`~ebpfnn.compiler.pool`."""
    body = _Work(3 + value + (6 + value) * (prod(layer.window.kernel) - 1))
    body += _window_loops(layer.window) if plan.looped else _Work()
    copied = _copied(given, layer.window) if plan.copied else _Work()
    return copied + _positions(image_shape(layer.output_shape(given)), plan.unwalked, body, loops)


def _join(plan: JoinPlan, loops: _Loops) -> _Work:
    """The code of :mod:`~ebpfnn.compiler.join`."""
    work = _Work()
    for part in plan.parts:
        given = 2 if plan.shape == SUM else 1
        each = _requantize(part.requantize, known=True) + _Work(2 * given) if part.requantize else _Work(0.3)
        for block in part.blocks:
            pieces = -(-block.columns // (JOINED_AT_A_TIME if part.requantize else COPIED_AT_A_TIME))
            body = each * block.columns + _Work((1 + given) * 2 + 2 + pieces * (1 + given + _LOOP * (pieces > 1)))
            work += _block(block.turns, block.unwalked, 1 + given, body, loops)
    return work


def _error(plan: ErrorPlan, loops: _Loops) -> _Work:
    """The code of :mod:`~ebpfnn.compiler.error`."""
    work = _Work(4)
    for block in plan.blocks:
        pieces = -(-block.columns // COMPARED_AT_A_TIME)
        body = _Work(ERROR_SIZE * block.columns + 10 + pieces * (2 + _LOOP * (pieces > 1)))
        work += _block(block.turns, block.unwalked, 2, body, loops)
    return work


def _block(turns: tuple[int, ...], unwalked: int, places: int, body: _Work, loops: _Loops) -> _Work:
    """``body`` in the loops of :mod:`~ebpfnn.compiler.blocks`."""
    if not turns:
        return body
    inner = _block(turns[1:], max(0, unwalked - 1), places, body, loops)
    return _unwalked(inner, places, loops) if unwalked else (inner + _Work(3 * places + _LOOP)) * turns[0]


def _window_loops(window: Window) -> _Work:
    """What the loops of :func:`~ebpfnn.compiler.positions.emit_window` take besides the values."""
    rows, columns = window.kernel
    return _Work(rows * (1 + _LOOP + -(-columns // VALUES_AT_A_TIME) * (2 + _LOOP)))


def _positions(turns: tuple[int, ...], unwalked: int, body: _Work, loops: _Loops) -> _Work:
    """``body`` in the loops of :mod:`~ebpfnn.compiler.positions`."""
    if not turns:
        return body
    inner = _positions(turns[1:], max(0, unwalked - 1), body, loops)
    if unwalked:
        return _unwalked(inner, 2, loops)
    return (inner + _Work(6 + _LOOP * (turns[0] > 1))) * turns[0]


def _unwalked(turn: _Work, parts: int, loops: _Loops) -> _Work:
    """A loop of :meth:`~ebpfnn.compiler.emitter.Emitter.iterate` whose iterations compute the addresses of ``parts``."""
    return (turn + _Work(12 + 6 * parts, 2 if loops.iterators else 1)) * loops.walks


def _copied(shape: Shape, window: Window) -> _Work:
    """A copy with an edge, :mod:`~ebpfnn.compiler.memory`."""
    channels, rows, columns = image_shape(shape)
    pieces = columns // BYTE + (columns % BYTE).bit_count()
    return _Work(channels * (rows * (2 * pieces + 2 + _LOOP) + 1 + _LOOP)) + _edge(shape, window.padding)


def _edge(shape: Shape, edge: Edge) -> _Work:
    """Filling an image that has an edge."""
    size = image_shape(shape)[0] * plane_size(shape, edge) if any(edge) else 0
    return _Work(size / BYTE * (1 + (1 + _LOOP) / 8))


def _requantize(plan: RequantizePlan, *, known: bool, kept: bool | None = None) -> _Work:
    """One output from a sum, with the load of the sum and the store, :mod:`~ebpfnn.compiler.requantize`."""
    plain = plan.is_relu or plan.is_identity
    if plan.by_table:
        return _Work((2.7 if (known if kept is None else kept) else 1) + (1 if known else 2) + 4 + _ADDRESS + 3)
    multiply = (1 if plain else 5) if known else (2 if plain else 7)
    clips = plan.clips_low + plan.clips_high
    sums = 2.7 if (known if kept is None else kept) else 1
    size = sums + 2 + 4 * plan.is_relu + multiply + 2.5 + bool(plan.by.zero_point) + 1
    size += (_ADDRESS + 3) * (plan.by.activation is not None)
    return _Work(size + (5.5 if plan.masked else 2) * clips, 0 if plan.masked else clips)
