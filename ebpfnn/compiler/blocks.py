"""Goes over values that lie in several places alike: what a layer joins, and what it gives.

Where none of them has an edge, they are cut into pieces of 64, whatever their shape. Otherwise a piece is a row of an image. A
pointer to each place is kept on the stack and moved from piece to piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

from ..network.layers import Shape, image_shape
from ..obj.asm import R0, R1, R10
from .emitter import Emitter, Place
from .features import KernelFeatures
from .positions import unwalked_loops
from .tile import Part, emit_parts
from .values import NO_EDGE, Edge, Values

PIECE = 64
Body = Callable[[tuple[Place, ...], int], None]


@dataclass(frozen=True)
class Block:
    """``columns`` values in each of ``turns`` pieces, the outermost loop first; they begin ``start`` values in.

    ``flat`` pieces follow each other; others are rows of images. The verifier does not walk the outermost ``unwalked`` loops.
    """

    turns: tuple[int, ...]
    columns: int
    start: int = 0
    flat: bool = True
    unwalked: int = 0


def plan_blocks(shape: Shape, edges: Sequence[Edge], size: int, features: KernelFeatures, most: int) -> tuple[Block, ...]:
    """The blocks of values of ``shape``, which have ``edges`` where they lie; a value takes some ``size`` instructions.

    The verifier may walk some ``most`` of them.
    """
    if all(edge == NO_EDGE for edge in edges):
        whole, rest = divmod(prod(shape), PIECE)
        found = [Block((whole,) if whole > 1 else (), PIECE)] if whole else []
        found += [Block((), rest, whole * PIECE)] if rest else []
    else:
        channels, rows, columns = image_shape(shape)
        found = [Block((channels, rows) if channels > 1 else (rows,), columns, flat=False)]
    return tuple(replace(each, unwalked=unwalked_loops(each.turns, each.columns * size, features, most)) for each in found)


@dataclass(frozen=True)
class Lying:
    """Values where they lie, each in ``width`` bytes."""

    values: Values
    width: int = 1

    def place(self, block: Block) -> Place:
        return self.values.place.at(self.width * (self.values.first + block.start))

    def steps(self, block: Block) -> tuple[int, ...]:
        """How far one turn of each loop moves, in bytes."""
        if block.flat:
            return (self.width * PIECE,) * len(block.turns)
        return (self.values.plane, self.values.row)[-len(block.turns) :]


def emit_block(emit: Emitter, block: Block, lying: Sequence[Lying], body: Body) -> None:
    """Calls ``body(places, columns)`` for each piece; no register survives, and none must be kept by the body."""
    steps = tuple(zip(*(each.steps(block) for each in lying), strict=True))
    _emit_turns(emit, block.turns, steps, tuple(each.place(block) for each in lying), block, body)


def _emit_turns(
    emit: Emitter,
    turns: tuple[int, ...],
    steps: tuple[tuple[int, ...], ...],
    places: tuple[Place, ...],
    block: Block,
    body: Body,
) -> None:
    if not turns:
        body(places, block.columns)
        return
    if len(block.turns) - len(turns) < block.unwalked:
        parts = tuple(Part(place, step) for place, step in zip(places, steps[0], strict=True))

        def inside(_: int, found: tuple[Part, ...]) -> None:
            _emit_turns(emit, turns[1:], steps[1:], tuple(part.place for part in found), block, body)

        emit_parts(emit, turns[0], parts, inside, iterated=True)
        return
    with emit.scratch(8 * (1 + len(places))) as counter:
        slots = [counter + 8 * number for number in range(1, 1 + len(places))]
        for slot, place in zip(slots, places, strict=True):
            emit.point(R1, place)
            emit.store("u64", R10, slot, R1)

        def turn() -> None:
            _emit_turns(emit, turns[1:], steps[1:], tuple(map(Place, slots)), block, body)
            for slot, step in zip(slots, steps[0], strict=True):
                emit.load(R0, "u64", R10, slot)
                emit.alu(R0, "+=", step)
                emit.store("u64", R10, slot, R0)

        emit.repeat(turns[0], counter, R0, turn)
