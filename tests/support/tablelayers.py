"""Networks of tables for the tests: random ones, of every grouping, order and range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from networks import THRESHOLDS, network, requantization
from numpy.typing import NDArray

from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import ByteLanes, Layer, Requantization, Table


def grouped(inputs: int, members: int, random: np.random.Generator | None = None, *, gaps: float = 0) -> NDArray[np.int32]:
    """Groups of ``members`` inputs in their order, or shuffled; a share ``gaps`` of groups has a member fewer, -1."""
    numbers = np.arange(inputs) if random is None else random.permutation(inputs)
    rows: list[list[int]] = []
    left = numbers.tolist()
    while left:
        size = members - (members > 1 and random is not None and random.random() < gaps)
        mine, left = left[:size], left[size:]
        mine += [-1] * (members - len(mine))
        rows.append(random.permutation(mine).tolist() if random is not None else mine)
    return np.array(rows, np.int32)


def table(
    order: NDArray[np.int32],
    outputs: int,
    random: np.random.Generator,
    *,
    largest: int = 9,
    bits: int = 1,
    low: int = 0,
    by: Requantization | ByteLanes | None = None,
    blank: float = 0.3,
) -> Table:
    """Random rows; a share ``blank`` of them is 0. Sums pass on as they are where ``by`` is None."""
    groups, members = order.shape
    rows = random.integers(-largest, largest + 1, (groups, 1 << bits * members, outputs))
    rows[random.random(rows.shape[:2]) < blank] = 0
    bias = random.integers(-largest, largest + 1, outputs).astype(np.int32)
    return Table(rows.astype(np.int16), bias, order, requantization(outputs) if by is None else by, bits, low)


def tail(layer: Table, classes: int, random: np.random.Generator, **fields: Any) -> Table:
    """A last layer over the bytes of ``layer``."""
    assert isinstance(layer.requantization, ByteLanes)
    order = np.arange(layer.outputs, dtype=np.int32)[:, None]
    return table(order, classes, random, bits=8 - layer.requantization.shift, **fields)


def two_layers(
    form: InputFormat,
    order: NDArray[np.int32],
    outputs: int,
    seed: int,
    *,
    shift: int = 1,
    classes: int = 10,
    largest: int = 9,
    **fields: Any,
) -> QuantizedNetwork:
    """Tables, byte lanes, tables."""
    random = np.random.default_rng(seed)
    first = table(order, outputs, random, largest=largest, bits=form.bits, by=ByteLanes(shift))
    return network([first, tail(first, classes, random, **fields)], form)


def with_occupied(layer: Table, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """What ``layer.occupied`` is for row numbers, int64 [n, groups]."""
    return np.packbits(numbers != 0, axis=1)


def binary_form(size: int | Sequence[int], bits: int = 1, **fields: Any) -> InputFormat:
    shape = (size,) if isinstance(size, int) else tuple(size)
    return InputFormat(shape, bits, THRESHOLDS[bits], **fields)


def layers_of(*layers: Layer, form: InputFormat) -> QuantizedNetwork:
    return network(list(layers), form)
