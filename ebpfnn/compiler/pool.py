"""Max pool: the largest value of each window (equation 15), without a branch, because the larger value is unpredictable."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from ..network.layers import MaxPool
from ..obj.asm import R0, R1, R2, R3, R4, R10
from .emitter import Emitter
from .plan import PoolPlan
from .positions import axes, emit_positions, emit_window
from .values import Values

_BEST, _NEXT, _SIGN, _WINDOW, _OUTPUT = R0, R1, R2, R3, R4


def pool_size(layer: MaxPool) -> int:
    """The approximate number of instructions per position."""
    return 7 * (prod(layer.window.kernel) - 1) + 16


def emit_pool(emit: Emitter, layer: MaxPool, plan: PoolPlan, values: Values, output: Values) -> None:
    """Writes the outputs. ``values`` has the edge of the layer, filled with their lowest value. No register survives."""
    kernel, offsets = layer.window.kernel, values.offsets(1, layer.window)

    def largest(given: Iterable[int]) -> None:
        for offset in given:
            values.load(emit, _NEXT, _WINDOW, offset)
            emit.alu(_NEXT, "-=", _BEST)
            emit.mov(_SIGN, _NEXT)
            emit.negate(_SIGN)
            emit.alu(_SIGN, "s>>=", 63)
            emit.alu(_NEXT, "&=", _SIGN)
            emit.alu(_BEST, "+=", _NEXT)

    def body(window: int, target: int) -> None:
        emit.load(_WINDOW, "u64", R10, window)
        emit.load(_OUTPUT, "u64", R10, target)
        values.load(emit, _BEST, _WINDOW, offsets[0])
        if plan.looped:
            emit_window(emit, kernel, values.row, _WINDOW, _NEXT, lambda count: largest(range(count)))
        else:
            largest(offsets[1:])
        emit.store("u8", _OUTPUT, 0, _BEST)

    emit.note(f"the largest of each window {kernel[0]}x{kernel[1]}")
    loops = axes(layer.window.stride, values, output, planes=True)
    emit_positions(emit, loops, values.place, output.place.at(output.first), body, plan.unwalked)
