"""Copies the inputs that have weights (the live inputs) side by side, so that other code and tables can ignore the rest.

Training removes the weights of inputs that are nearly always zero, such as the edge of a digit. Live inputs form runs, and a
run is copied in pieces that are as large as possible. The last piece overlaps the one before, so that no other byte is copied.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2
from .emitter import FARTHEST, Emitter
from .values import SLACK, Values

_TERM, _FROM, _TO = R0, R1, R2
_SIZES = {8: "u64", 4: "u32", 2: "u16", 1: "u8"}

Live = NDArray[np.intp]
"""The indices of the live inputs, in order."""


class Piece(NamedTuple):
    """A copy of ``size`` bytes, 1, 2, 4 or 8."""

    source: int
    target: int
    size: int


def live_inputs(weights: NDArray[np.int8]) -> Live:
    """The inputs with a weight that is not 0, for weights int8 [inputs, outputs]; the first input if there is none."""
    live = np.flatnonzero(weights.any(axis=1))
    return live if live.size else np.zeros(1, np.intp)


def pieces(live: Live) -> tuple[Piece, ...]:
    """The pieces that copy exactly the ``live`` bytes, side by side."""
    found, target = [], 0
    for run in np.split(live, np.flatnonzero(np.diff(live) != 1) + 1):
        length = len(run)
        size = 1 << min(3, length.bit_length() - 1)
        starts = [*range(0, length - size, size), length - size]
        found += [Piece(int(run[0]) + start, target + start, size) for start in starts]
        target += length
    return tuple(found)


def emit_live(emit: Emitter, values: Values, live: Live) -> Values:
    """Copies the ``live`` values of ``values``, which has no edge; no register survives."""
    found = Values(emit.region(live.size + SLACK), (live.size,), values.low, values.high)
    emit.note(f"the {live.size} of {values.size} inputs that have weights, side by side")
    emit.point(_FROM, values.place)
    emit.point(_TO, found.place)
    behind = [0, 0]
    for piece in pieces(live):
        for number, (pointer, at) in enumerate(((_FROM, piece.source), (_TO, piece.target))):
            if at - behind[number] >= FARTHEST:
                emit.alu(pointer, "+=", at - behind[number])
                behind[number] = at
        emit.load(_TERM, _SIZES[piece.size], _FROM, piece.source - behind[0])
        emit.store(_SIZES[piece.size], _TO, piece.target - behind[1], _TERM)
    return found
