"""Networks of every kind of table layer, and cascades of every kind of network: for what must equal the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from networks import dense, input_format, network, random_network, samples
from tablenets import cascade, table, table_network

from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.layers import ByteLanes, Layer, MaxPool, Table, Window


def _between(bits: int, members: int, lanes: int, seed: int, bias: int = 900) -> QuantizedNetwork:
    """Tables behind a dense layer of signed values and before one; without ``bias``, a blank sample makes only 0 of them."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    random = np.random.default_rng(seed)
    first = dense(random.integers(-9, 10, (13, 6)), random.integers(-bias, bias + 1, 13), shift=38 - bits, low=low, high=high)
    middle = table(seed, 13, 11, bits=bits, members=members, low=low, largest=90, requantization=ByteLanes(lanes))
    return network([first, middle, dense(random.integers(-127, 128, (5, 11)), np.arange(5))])


def _known_blank(net: QuantizedNetwork) -> QuantizedNetwork:
    """The same, told that all groups are nearly always blank: they share branches."""

    def known(layer: Layer) -> Layer:
        return replace(layer, occupied=np.zeros((64, -(-layer.groups // 8)), np.uint8)) if isinstance(layer, Table) else layer

    return replace(net, layers=tuple(map(known, net.layers)))


def _first(bits: int, seed: int, *, own: int | None = None, **fields: Any) -> QuantizedNetwork:
    """Tables over a sample of an order: that of the tables is another one."""
    random = np.random.default_rng(seed)
    form = input_format((7, 3), bits, **fields)
    form = replace(form, order=tuple(random.permutation(21).tolist())) if form.packed else form
    hidden = table(seed, 21, 9, bits=own or bits, order=tuple(random.permutation(21).tolist()), largest=60)
    by = dense(np.zeros((9, 1)), np.zeros(9), shift=32, low=-128, high=127).requantization
    last = table(seed + 1, 9, 3, bits=8, low=-128)
    return network([replace(hidden, requantization=by), last], form)


def _with_holes(seed: int) -> QuantizedNetwork:
    """Groups of none, of one and of some inputs, wherever they stand; over an image that a pool gives."""
    order = np.array([[-1, 2, -1], [-1, -1, -1], [3, -1, 0], [1, -1, -1]], np.int32)
    made = table(seed, 12, 7, bits=2, members=3, requantization=ByteLanes(2))
    last = table(seed, 7, 2, bits=7, members=1)
    holes = replace(made, order=order)
    return network([MaxPool(Window((2, 2), (2, 2))), holes, last], input_format((4, 4), 2))


KINDS = {
    **{f"{bits} bits in lanes": _between(bits, 8 // bits, bits % 8, bits) for bits in range(1, 9)},
    "one member a group": _between(3, 1, 0, 9),
    **{
        f"{bits} bits that are nearly always the lowest": _known_blank(_between(bits, 8 // bits, 0, bits, 0))
        for bits in (1, 3, 8)
    },
    "bytes that are nearly always 0": _known_blank(table_network(6)),
    **{f"{bits} bits unpacked": _first(bits, bits) for bits in (1, 2, 4, 8)},
    **{
        f"{bits} bits packed {order}": _first(bits, bits, packed=True, bit_order=order)
        for bits in (1, 2, 4)
        for order in ("big", "little")
    },
    "bits to spare": _first(1, 5, own=3),
    "holes": _with_holes(1),
    "tiles": table_network(1),
    "sums that wrap far": table_network(2, largest=32767),
    "whole words": table_network(3, widths=(16, 64)),
    "one output": table_network(4, widths=(1, 2), shift=7),
    "lanes as they are": table_network(5, widths=(70, 3), shift=0),
}


def _behind(first: QuantizedNetwork, *others: QuantizedNetwork, place: int = 8) -> QuantizedNetwork:
    """A cascade in which one sample leads by the margin, and so decides, and others by less."""
    leads = np.sort(reference.margins(reference.scores(first, samples(first.input_shape, 0))))
    return cascade(first, *others, margin=max(1, int(leads[place])))


def _equal_scores() -> QuantizedNetwork:
    return network([dense(np.ones((4, 64)), np.zeros(4))], input_format((8, 8)))


def _dense(seed: int, **fields: Any) -> QuantizedNetwork:
    return random_network("64-6-4", seed, (8, 8), **fields)


CASCADES = {
    "of tables": _behind(table_network(1), table_network(2)),
    "of four": _behind(table_network(1), table_network(2), table_network(3), table_network(4), place=12),
    "of other levels": _behind(table_network(1, packed=False), _dense(1, bits=8), _dense(2, bits=4)),
    "of a convolution behind tables": _behind(table_network(3, packed=False), random_network("conv3x3-pool2-4", 3, (8, 8))),
    "of dense networks": _behind(_dense(4), _dense(5)),
    "in which all go on": cascade(table_network(1), table_network(2), margin=2**31 - 1),
    "in which equal scores go on": cascade(_equal_scores(), _dense(1), margin=1),
}
