"""The tables of docs/quantization.md, one function an equation, in integers of Python.

They never wrap: where the page says "mod 2^64", so does the code. As in :mod:`.arithmetic`, no name of ``ebpfnn`` is here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def sums(layer: Any, x: Integers) -> Integers:
    """(19): ``x`` is int64 [n, ...], taken as it lies."""
    found = []
    for sample in x.reshape(len(x), -1).tolist():
        acc = layer.bias.tolist()
        for g, row in enumerate(row_numbers(layer, sample)):
            acc = [one + other for one, other in zip(acc, layer.tables[g, row].tolist(), strict=True)]
        found.append(acc)
    return np.array(found, np.int64)


def row_numbers(layer: Any, sample: list[int]) -> list[int]:
    """(19): the row of each group."""
    found = []
    for members in layer.order.tolist():
        row = 0
        for member in members:
            level = 0 if member == -1 else sample[member] - layer.low
            assert 0 <= level < 2**layer.bits, "a level does not fit its bits"
            row = row * 2**layer.bits + level
        found.append(row)
    return found


def byte_lanes(shift: int, acc: Integers) -> Integers:
    """(20): ``acc`` is int64 [n, outputs]."""
    found = []
    for each in acc.tolist():
        words = [_word(each[first : first + 8], shift) for first in range(0, len(each), 8)]
        found.append([y for word in words for y in word])
    return np.array(found, np.int64)


def bound(layer: Any) -> int:
    """(21)"""
    reach = np.abs(layer.tables.astype(np.int64)).max(axis=1).sum(axis=0) + np.abs(layer.bias.astype(np.int64))
    return int(reach.max())


def _word(acc: list[int], shift: int) -> list[int]:
    """The outputs of one word."""
    word = 0
    for j, each in enumerate(acc):
        word += (128 + each) * 256**j
    word %= 2**64
    return [word // 256**j % 256 // 2**shift for j in range(len(acc))]
