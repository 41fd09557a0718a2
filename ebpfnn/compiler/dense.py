"""A dense layer by multiplication, tile by tile: six words of lanes stay in registers while the code goes over the inputs.

There are two shapes. *listed* goes over a list of the non-zero inputs; *straight* goes over all inputs, for layers with few
inputs or few zeros. In both, an input costs one load and, for each word, a load, a multiply and an add; with a list, seven
instructions more. So a layer with many inputs has both codes: if its list is nearly full, it goes over all inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..obj.asm import R9, R10
from .accumulate import INPUT, ROW, TERM, Products, emit_flush, emit_products, emit_seeds
from .emitter import Emitter, Place
from .gathered import emit_gathered, emit_gathering
from .nonzero import emit_index, emit_lists, list_size
from .outputs import Source
from .tile import Part
from .values import Values

_ENTRY = R9
AT_A_TIME = 8
"""How many inputs one iteration of a loop handles: loop control is paid once per iteration, code once per input."""
_FULL = 0.75
"""The share of listed inputs from which a list does not pay: an input costs 26 instructions with it and 19 without."""


@dataclass(frozen=True)
class DenseInput:
    """The inputs of a dense layer; for a listed one, the list of each segment, and, if used, its length and its entries."""

    values: Values
    lists: tuple[Place, ...] = ()
    lengths: tuple[Place, ...] = ()
    entries: tuple[Place, ...] = ()


def emit_inputs(
    emit: Emitter, products: Products, values: Values, *, listed: bool, counted: bool, gathered: bool
) -> DenseInput:
    """What all tiles share. A list that is ``counted`` is not used if it is nearly full."""
    if not listed:
        return DenseInput(values)
    lists = tuple(emit.region(list_size(end - start)) for start, end in zip(products.starts, products.ends, strict=True))
    lengths = tuple(emit.region(8) for _ in lists) if counted else ()
    emit_lists(emit, values, products.ends, lists, lengths)
    entries = emit_gathering(emit, products, values, lists) if gathered else ()
    return DenseInput(values, lists, lengths, entries)


def emit_sums(
    emit: Emitter, products: Products, given: DenseInput, outputs: int, parts: tuple[Part, Part], left: int, *, kept: bool
) -> Source:
    """Computes the sums of one tile's ``outputs`` with its weights and seeds: u32 each at ``left`` from r10.

    With ``kept``, the sums of the last segment stay in registers.
    """
    lanes, words = products.lanes, products.lanes.words(outputs)
    weights, seeds = parts
    cuts = zip(products.starts, products.ends, strict=True)
    for segment, (start, end) in enumerate(cuts):
        emit.note(f"inputs {start}..{end - 1} into {words} words of {lanes.count} lanes of {lanes.bits} bits")
        seeds.point(emit, ROW)
        emit_seeds(emit, words, 8 * segment * products.words)
        if given.lengths:
            _emit_either(emit, products, given, segment, words, weights)
        elif given.lists:
            _emit_listed(emit, products, given, segment, words, weights)
        else:
            _emit_straight(emit, products, given.values, segment, words, weights)
        if not kept or segment < len(products.ends) - 1:
            emit_flush(emit, lanes, outputs, left, first=segment == 0)
    return Source.of(lanes, left, len(products.ends), kept=kept)


def _emit_either(emit: Emitter, products: Products, given: DenseInput, segment: int, words: int, weights: Part) -> None:
    """Uses the list, or goes over all inputs if nearly all are listed."""
    full, done = emit.fresh("full"), emit.fresh("either")
    inputs = products.ends[segment] - products.starts[segment]
    emit.point(TERM, given.lengths[segment])
    emit.load(TERM, "u64", TERM)
    emit.jump_if(TERM, ">", 2 * int(_FULL * inputs), full)
    _emit_listed(emit, products, given, segment, words, weights)
    emit.goto(done)
    emit.label(full)
    _emit_straight(emit, products, given.values, segment, words, weights)
    emit.label(done)


def _emit_listed(emit: Emitter, products: Products, given: DenseInput, segment: int, words: int, weights: Part) -> None:
    if given.entries:
        emit_gathered(emit, products, given.entries[segment], segment, words, weights)
        return
    values, done = given.values, emit.fresh("listed")
    largest = len(products.weights) - 1
    turns = (products.ends[segment] - products.starts[segment]) // AT_A_TIME + 1
    with emit.scratch(16) as base:
        # From the stack: measured 6 % faster on dense samples than as an immediate of 64 bits.
        weights.point(emit, ROW)
        emit.store("u64", R10, base, ROW)
        emit.point(_ENTRY, given.lists[segment])

        def turn() -> None:
            for number in range(AT_A_TIME):
                emit_index(emit, TERM, _ENTRY, number, largest, done)
                emit.load(INPUT, "u64", R10, values.place.slot)
                emit.alu(INPUT, "+=", TERM)
                values.load(emit, INPUT, INPUT, values.place.offset)
                emit.load(ROW, "u64", R10, base)
                emit.alu(TERM, "<<=", products.row.bit_length() - 1)
                emit.alu(ROW, "+=", TERM)
                emit_products(emit, words, 0)
            emit.alu(_ENTRY, "+=", 2 * AT_A_TIME)

        emit.repeat(turns, base + 8, TERM, turn)
        emit.label(done)
        emit.forget((INPUT, TERM, ROW, _ENTRY), (base, base + 8))


def _emit_straight(emit: Emitter, products: Products, values: Values, segment: int, words: int, weights: Part) -> None:
    start, end = products.starts[segment], products.ends[segment]
    emit.point(_ENTRY, values.place.at(start))
    weights.point(emit, ROW, start * products.row)

    def turn(size: int) -> None:
        for number in range(size):
            values.load(emit, INPUT, _ENTRY, number)
            emit_products(emit, words, number * products.row)
        emit.alu(_ENTRY, "+=", size)
        emit.alu(ROW, "+=", size * products.row)

    emit.turns(end - start, AT_A_TIME, TERM, turn)
