"""Looks up the values and weights of a list once, if many tiles use it.

Each list entry becomes two words: the offset of the weights of the input, and the value of the input. The end of the list
becomes an entry too, with an offset that is too large: the check that the verifier requires also ends the loop.
"""

from __future__ import annotations

from ..obj.asm import R0, R1, R2, R3, R9, R10
from .accumulate import INPUT, ROW, TERM, Products, emit_products
from .emitter import Emitter, Place
from .tile import Part
from .values import Values

_ENTRY_BYTES = 16
_AT_A_TIME = 8
_INDEX, _VALUE, _LIST, _ENTRY = R0, R1, R2, R3
_POINTER = R9


def emit_gathering(emit: Emitter, products: Products, values: Values, lists: tuple[Place, ...]) -> tuple[Place, ...]:
    """Writes the entries of each of ``lists``, and returns where they are; no register survives."""
    found = []
    for start, end, given in zip(products.starts, products.ends, lists, strict=True):
        turns = _turns(end - start)
        place = emit.region(turns * _AT_A_TIME * _ENTRY_BYTES)
        emit.note(f"look up the values and weights of the listed inputs among {start}..{end - 1}")
        emit.point(_LIST, given)
        emit.point(_ENTRY, place)
        _emit_entries(emit, products, values, turns)
        found.append(place)
    return tuple(found)


def _emit_entries(emit: Emitter, products: Products, values: Values, turns: int) -> None:
    done = emit.fresh("gathered")

    def turn() -> None:
        for number in range(_AT_A_TIME):
            emit.load(_INDEX, "u16", _LIST, 2 * number)
            emit.mov(_VALUE, _INDEX)
            emit.alu(_VALUE, "*=", products.row)
            emit.store("u64", _ENTRY, _ENTRY_BYTES * number, _VALUE)
            emit.jump_if(_INDEX, ">", len(products.weights) - 1, done)
            emit.load(_VALUE, "u64", R10, values.place.slot)
            emit.alu(_VALUE, "+=", _INDEX)
            values.load(emit, _VALUE, _VALUE, values.place.offset)
            emit.store("u64", _ENTRY, _ENTRY_BYTES * number + 8, _VALUE)
        emit.alu(_LIST, "+=", 2 * _AT_A_TIME)
        emit.alu(_ENTRY, "+=", _ENTRY_BYTES * _AT_A_TIME)

    with emit.scratch(8) as counter:
        emit.repeat(turns, counter, _INDEX, turn)
        emit.label(done)
        emit.forget((_INDEX, _VALUE, _LIST, _ENTRY), (counter,))


def emit_gathered(emit: Emitter, products: Products, entries: Place, segment: int, words: int, weights: Part) -> None:
    """Adds the products of one segment, using its ``entries``."""
    done, largest = emit.fresh("listed"), (len(products.weights) - 1) * products.row
    with emit.scratch(16) as base:
        weights.point(emit, ROW)
        emit.store("u64", R10, base, ROW)
        emit.point(_POINTER, entries)

        def turn() -> None:
            for number in range(_AT_A_TIME):
                emit.load(TERM, "u64", _POINTER, _ENTRY_BYTES * number)
                emit.jump_if(TERM, ">", largest, done)
                emit.load(ROW, "u64", R10, base)
                emit.alu(ROW, "+=", TERM)
                emit.load(INPUT, "u64", _POINTER, _ENTRY_BYTES * number + 8)
                emit_products(emit, words, 0)
            emit.alu(_POINTER, "+=", _ENTRY_BYTES * _AT_A_TIME)

        emit.repeat(_turns(products.ends[segment] - products.starts[segment]), base + 8, TERM, turn)
        emit.label(done)
        emit.forget((INPUT, TERM, ROW, _POINTER), (base, base + 8))


def _turns(inputs: int) -> int:
    return inputs // _AT_A_TIME + 1
