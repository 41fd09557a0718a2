"""Random layers of tables, for values of any range: every width of a level, groups of any size, and sums that wrap."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import ByteLanes, Requantization, Table

from . import tables
from .formats import Random, pick
from .parameters import requantization

_INT32 = 2**31 - 1
_MOST_ENTRIES, _SELDOM_ENTRIES = 600_000, 2_000_000


def table(values: tables.Integers, ends: tuple[int, int], form: InputFormat, outputs: int, last: bool, random: Random) -> Table:
    """One for ``values``, int64 [n, *shape] in ``ends``, of which some often select other rows than the blank ones."""
    low, needed = ends[0], max(1, (ends[1] - ends[0]).bit_length())
    bits = pick(random, [needed, needed, int(random.integers(needed, 9))])
    members = pick(random, [8 // bits, 8 // bits, int(random.integers(1, 8 // bits + 1))])
    order = _order(prod(values.shape[1:]), members, form, random)
    if prod(values.shape[1:]) == form.size and form.packed and ends == (0, 1) and random.random() < 0.6:
        bits, order = 1, _as_packed(form)
        members = 8
    most = _SELDOM_ENTRIES if random.random() < 0.5 else _MOST_ENTRIES
    outputs = max(1, min(outputs, most // (len(order) << members * bits)))
    entries = _entries((len(order), 1 << members * bits, outputs), random)
    zero, nothing = (
        np.zeros(outputs, np.int32),
        Requantization(np.zeros(outputs, np.int32), np.zeros(outputs, np.int32), 1, 0, 1),
    )
    made = Table(entries, zero, order, nothing, bits, low)
    made = replace(made, bias=_bias(made, values, random), occupied=_occupied(made, values, random))
    return _activated(made, values, last, random)


def _as_packed(form: InputFormat) -> NDArray[np.int32]:
    """A group for each byte of a sample."""
    order = np.full(-(-form.size // 8) * 8, -1, np.int32)
    order[: form.size] = form.order or range(form.size)
    return order.reshape(-1, 8)


def _order(size: int, members: int, form: InputFormat, random: Random) -> NDArray[np.int32]:
    """As values lie, as they are packed, backward or anyhow; members that are none at the end, or anywhere."""
    packed = np.array(form.order or range(size)) if form.size == size else np.arange(size)
    inputs = pick(random, [np.arange(size), packed, packed, np.arange(size)[::-1], random.permutation(size)])
    groups = -(-size // members) + pick(random, [0, 0, 0, 1, int(random.integers(0, 4))])
    order = np.full(groups * members, -1, np.int32)
    places = np.arange(size) if random.random() < 0.6 else np.sort(random.permutation(len(order))[:size])
    order[places] = inputs
    return order.reshape(groups, members)


def _entries(shape: tuple[int, ...], random: Random) -> NDArray[np.int16]:
    """Of few bits or of all, of one sign, at the ends alone; rows that are 0, above all the first, and outputs that are 0."""
    few = max(1, 90 // shape[0])
    reach = pick(random, [1, 3, few, few, 2 * few, 40, 127, 300, 32767])
    made = random.integers(-reach, reach + 1, shape)
    if random.random() < 0.05:
        made = random.choice([-32768, 32767, -128, 127], shape)
    if random.random() < 0.1:
        made = np.abs(made) * random.choice([-1, 1])
    if random.random() < 0.5:
        made[random.random(shape[:2]) < random.uniform(0.1, 0.9)] = 0
    if random.random() < 0.5:
        made[:, 0] = 0
    if random.random() < 0.15:
        made[:, :, random.random(shape[2]) < 0.4] = 0
    if random.random() < 0.15:
        made[random.random(shape[0]) < 0.4] = 0
    return np.clip(made, -32768, 32767).astype(np.int16)


def _bias(layer: Table, values: tables.Integers, random: Random) -> NDArray[np.int32]:
    """None, what brings sums to the middle of a byte, a little, of the size of the sums, or as large as (21) allows."""
    sums = tables.sums(layer, values)
    room = _INT32 - np.abs(layer.tables.astype(np.int64)).max(axis=1).sum(axis=0)
    size = int(np.abs(sums).mean()) + 1
    middle = -np.round(sums.mean(axis=0)).astype(np.int64)
    little, some = (random.integers(-most, most + 1, layer.outputs) for most in (20, size))
    chosen = pick(random, [np.zeros(layer.outputs, np.int64), middle, middle, little, some])
    if random.random() < 0.05:
        chosen = room * random.choice([-1, 1], layer.outputs)
    return np.clip(chosen, -room, room).astype(np.int32)


def _occupied(layer: Table, values: tables.Integers, random: Random) -> NDArray[np.uint8]:
    """Unknown, of these values, or anything: it says which code is quick, not which is right."""
    width = -(-layer.groups // 8)
    rows = np.array([tables.row_numbers(layer, each) for each in values.reshape(len(values), -1).tolist()])
    count = pick(random, [1, 7, 64, int(random.integers(1, 1025))])
    anything: Any = random.integers(0, 256, (count, width)) & random.integers(0, 256, width)
    seldom: Any = anything & random.integers(0, 256, (count, width)) & random.integers(0, 256, (count, width))
    even = np.packbits(random.random((64, layer.groups)) < random.uniform(0.1, 0.6), axis=1)
    blank = np.zeros((count, width))
    chosen = [np.zeros((0, 0)), np.packbits(rows != 0, axis=1), anything, seldom, even, even, blank]
    return pick(random, chosen).astype(np.uint8)


def _activated(layer: Table, values: tables.Integers, last: bool, random: Random) -> Table:
    if not last and random.random() < 0.65:
        exact = tables.bound(layer) <= 127 and random.random() < 0.7
        return replace(layer, requantization=ByteLanes(pick(random, [0, 0, 1, 2, int(random.integers(8))]), exact))
    if last and random.random() < 0.4:
        shift = int(random.integers(1, 31))
        one = np.full(layer.outputs, 1 << shift, np.int32)
        return replace(layer, requantization=Requantization(one, one, shift, -_INT32 - 1, _INT32))
    return replace(layer, requantization=requantization(tables.sums(layer, values), last, random))
