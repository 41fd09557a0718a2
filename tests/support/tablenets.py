"""Networks of tables and cascades for the tests, random."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from networks import input_format, requantization

from ebpfnn.network import QuantizedNetwork, orders
from ebpfnn.network.layers import ByteLanes, Shape, Table
from ebpfnn.network.network import Next


def table(
    seed: int,
    inputs: int,
    outputs: int,
    *,
    bits: int = 1,
    members: int | None = None,
    order: tuple[int, ...] | None = None,
    largest: int = 20,
    sparse: float = 0.3,
    **fields: Any,
) -> Table:
    """Random rows within ``largest``, of which a share ``sparse`` is 0; the inputs in ``order``, or as they lie.

    It passes its sums on, unless ``fields`` have another ``requantization``.
    """
    random = np.random.default_rng(seed)
    members = members or max(1, 8 // bits)
    flat = np.array(order if order is not None else range(inputs), np.int32)
    grouped = np.pad(flat, (0, -inputs % members), constant_values=-1).reshape(-1, members)
    rows = random.integers(-largest, largest + 1, (len(grouped), 1 << bits * members, outputs)).astype(np.int16)
    rows[random.random(rows.shape[:2]) < sparse] = 0
    plain: dict[str, Any] = {"requantization": requantization(outputs), "bits": bits}
    bias = random.integers(-largest, largest + 1, outputs).astype(np.int32)
    return Table(rows, bias, grouped, **{**plain, **fields})


def table_network(
    seed: int,
    shape: Shape = (8, 8),
    widths: tuple[int, int] = (11, 4),
    *,
    tile: tuple[int, int] | None = (2, 4),
    shift: int = 1,
    largest: int = 20,
    packed: bool = True,
    **fields: Any,
) -> QuantizedNetwork:
    """A table a byte of 1-bit samples, byte lanes, and a table of scores a byte; in tiles, or as they lie.

    With a ``largest`` of 20 many sums wrap.
    """
    size = prod(shape)
    order = orders.tiles(shape, tile) if tile else tuple(range(size))
    form = input_format(shape, 1, packed=packed)
    form = replace(form, order=order) if tile and packed else form
    hidden = table(seed, size, widths[0], order=order, largest=largest, requantization=ByteLanes(shift))
    last = table(seed + 1, widths[0], widths[1], bits=8 - shift, members=1, sparse=0)
    labels = tuple(map(str, range(widths[1])))
    return QuantizedNetwork(**{"name": f"tables{seed}", "input": form, "labels": labels, "layers": (hidden, last), **fields})


def cascade(*networks: QuantizedNetwork, margin: int = 20, share: float = 0.25) -> QuantizedNetwork:
    """The networks one after the other, each with the same margin to the next."""
    first, *others = networks
    return replace(first, then=Next(cascade(*others, margin=margin, share=share), margin, share)) if others else first
