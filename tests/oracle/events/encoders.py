"""The kind ``columns`` of docs/preparation.md for integer columns: from a row to the values of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import ceil
from typing import Any


def sample(columns: Sequence[Mapping[str, Any]], row: Sequence[int]) -> bytes:
    """``columns`` are those of the preparation's options."""
    return b"".join(encoded(column, x) for column, x in zip(columns, row, strict=True))


def encoded(column: Mapping[str, Any], x: int) -> bytes:
    reached = [x >= bound for bound in bounds(column)]
    if column["encode"] == "thermometer":
        return bytes(reached)
    if len(reached) > 255:
        return bytes(sum(reached[first : first + 255]) for first in range(0, len(reached), 255))
    return bytes([column.get("step", 1) * sum(reached)])


def bounds(column: Mapping[str, Any]) -> Sequence[int]:
    kind = column["encode"]
    if kind == "linear":
        return _linear(column["low"], column["high"])
    if kind == "log2":
        return _log2(column["low"], column["high"], column["fraction"])
    return column["bounds"]  # type: ignore[no-any-return]


@cache
def _linear(low: int, high: int) -> list[int]:
    return [ceil(low + Fraction(k * (high - low), 255)) for k in range(1, 256)]


@cache
def _log2(low: int, high: int, fraction: int) -> list[int]:
    parts = 2**fraction
    real = [Fraction(2) ** e * (1 + Fraction(m, parts)) for e in range(-8, 65) for m in range(parts)]
    return [ceil(r) for r in real if low <= r <= high]
