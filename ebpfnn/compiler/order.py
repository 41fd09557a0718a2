"""Samples that are packed in an order of their own: the first layer is put in that order, or the levels in the natural one.

A dense layer and a layer of tables name their inputs, so they may as well name them in the order in which they arrive. Windows
need neighbors side by side: for them, levels are copied to their places.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import QuantizedNetwork
from ..network.encoding import places
from ..network.graph import SAMPLE, takers
from ..network.layers import Dense, Table
from ..obj.asm import R0, R1, R2
from .emitter import Emitter
from .values import SLACK, Values

_FROM, _TO, _LEVEL = R1, R2, R0


def in_order(network: QuantizedNetwork) -> QuantizedNetwork:
    """``network`` alone, without those that follow it, and with a first layer that takes levels as they are packed.

    A sample keeps its order if the first layer is neither dense nor of tables, or not the only one that reads it.
    """
    order, first = np.array(network.input.order, np.int64), network.layers[0]
    if order.size == 0 or takers(network.takes)[SAMPLE] != (0,) or not isinstance(first, Dense | Table):
        return replace(network, then=None) if network.then else network
    if isinstance(first, Dense):
        first = replace(first, weights=np.ascontiguousarray(first.weights[:, order]))
    else:
        packed = np.append(places(network.input.order), -1).astype(np.int32)  # the last for a member that is none
        first = replace(first, order=packed[first.order])
    form = replace(network.input, order=())
    return replace(network, input=form, layers=(first, *network.layers[1:]), then=None)


def emit_natural(emit: Emitter, packed: Values, order: tuple[int, ...]) -> Values:
    """Copies the levels, one a byte in the order in which they were packed, to the natural one. No register survives."""
    emit.note(f"{len(order)} levels in their natural order")
    place = emit.region(len(order) + SLACK)
    emit.point(_FROM, packed.place)
    emit.point(_TO, place)
    gone = 0
    for at, natural in enumerate(order):
        if at - gone >= 1 << 14:
            emit.alu(_FROM, "+=", at - gone)
            gone = at
        emit.load(_LEVEL, "u8", _FROM, at - gone)
        emit.store_far("u8", _TO, natural, _LEVEL)
    return Values(place, packed.shape, packed.low, packed.high)
