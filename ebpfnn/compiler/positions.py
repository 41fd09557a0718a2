"""Moves a window over an image: the loops around one position of a convolution or a pool.

Two pointers on the stack, to the window and to its output, are advanced. The values of a window are at constant offsets from
its first value, so their addresses are not computed. If the verifier would walk too many iterations, the outermost loops are of
the kind that it does not walk (:meth:`~ebpfnn.compiler.emitter.Emitter.iterate`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from ..network.layers import image_shape
from ..obj.asm import R0, R1, R10, Register
from .emitter import Emitter, Place
from .features import KernelFeatures
from .values import Values

WALKED = 12_000
"""The most instructions of loops over positions that the verifier may walk, at half a microsecond each, often repeatedly."""

WALKED_IN_TIGHT_CODE = 3_000
"""The same in tight code, see :func:`~ebpfnn.compiler.planner.plan_network`."""

MOST_OF_A_WINDOW = 16_000
"""Instructions that one channel of a window is written out in; a jump goes over twice as many."""
VALUES_AT_A_TIME = 32
"""Of a row of a larger window."""

Body = Callable[[int, int], None]


class Axis(NamedTuple):
    """The iterations of a loop, and how far one iteration moves the window and its output, in bytes."""

    turns: int
    window: int
    target: int


def axes(stride: tuple[int, int], values: Values, output: Values, *, planes: bool) -> tuple[Axis, ...]:
    """The loops over ``output``, outermost first: rows and columns; with ``planes``, channels around them."""
    channels, rows, columns = image_shape(output.shape)
    outermost = (Axis(channels, values.plane, output.plane),) if planes else ()
    return (*outermost, Axis(rows, stride[0] * values.row, output.row), Axis(columns, stride[1], 1))


def unwalked_loops(turns: tuple[int, ...], size: int, features: KernelFeatures, most: int = WALKED) -> int:
    """How many loops, outermost first, the verifier must not walk: for ``size`` instructions and so many ``turns`` each."""
    if size * prod(turns) <= most or not features.unwalked or not turns or turns[0] == 1:
        return 0
    return 1 + unwalked_loops(turns[1:], size, features, most)


def emit_window(
    emit: Emitter, kernel: tuple[int, int], row: int, pointer: Register, scratch: Register, body: Callable[[int], None]
) -> None:
    """Loops over the values of a window; each turn emits ``body(count)`` for the next ``count`` values at ``pointer``.

    At the end ``pointer`` has moved by all rows, which are ``row`` bytes apart. ``scratch`` is lost between values.
    """
    rows, columns = kernel

    def piece(count: int) -> None:
        body(count)
        emit.alu(pointer, "+=", count)

    def one_row() -> None:
        emit.turns(columns, VALUES_AT_A_TIME, scratch, piece)
        emit.alu(pointer, "+=", row - columns)

    with emit.scratch(8) as counter:
        emit.repeat(rows, counter, scratch, one_row)


def emit_positions(emit: Emitter, loops: tuple[Axis, ...], window: Place, target: Place, body: Body, unwalked: int) -> None:
    """Calls ``body(window, target)`` at each position; the arguments are stack slots. No register survives.

    The outermost ``unwalked`` loops are of the kind that the verifier does not walk.
    """
    with emit.scratch(16) as slots:
        if unwalked:
            axis, *inner = loops
            with emit.scratch(8) as index:

                def turn() -> None:
                    _begin(emit, slots, window, target)
                    for slot, step in ((slots, axis.window), (slots + 8, axis.target)):
                        emit.load(R0, "u64", R10, index)
                        emit.alu(R0, "*=", step)
                        emit.load(R1, "u64", R10, slot)
                        emit.alu(R1, "+=", R0)
                        emit.store("u64", R10, slot, R1)
                    emit_positions(emit, tuple(inner), Place(slots), Place(slots + 8), body, unwalked - 1)

                emit.iterate(axis.turns, index, turn)
        else:
            _begin(emit, slots, window, target)
            _emit_bounded(emit, loops, slots, body)


def _begin(emit: Emitter, slots: int, window: Place, target: Place) -> None:
    for slot, place in ((slots, window), (slots + 8, target)):
        emit.point(R1, place)
        emit.store("u64", R10, slot, R1)


def _emit_bounded(emit: Emitter, loops: tuple[Axis, ...], slots: int, body: Body) -> None:
    """Loops that the verifier walks, each counted on the stack; the addresses in ``slots`` are advanced."""
    if not loops:
        body(slots, slots + 8)
        return
    axis, *rest = loops
    inner = rest[0] if rest else Axis(0, 0, 0)

    def turn() -> None:
        _emit_bounded(emit, tuple(rest), slots, body)
        _advance(emit, slots, axis.window - inner.turns * inner.window)
        _advance(emit, slots + 8, axis.target - inner.turns * inner.target)

    with emit.scratch(8) as counter:
        emit.repeat(axis.turns, counter, R0, turn)


def _advance(emit: Emitter, slot: int, step: int) -> None:
    if step:
        emit.load(R0, "u64", R10, slot)
        emit.alu(R0, "+=", step)
        emit.store("u64", R10, slot, R0)
