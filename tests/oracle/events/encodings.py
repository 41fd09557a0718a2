"""Random encoders for the results of a spec, with bounds at the values that results have."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

Row = Sequence[int]


def columns(
    names: Sequence[str], rows: Sequence[Row], random: Random, *, thermometers: bool, most: int = 16
) -> list[dict[str, Any]]:
    """The columns of a preparation of the kind ``columns``, one a result; ``most`` bounds of ``bins`` and ``thermometer``."""
    seen = list(zip(*rows, strict=True)) if rows else [(0, 1)] * len(names)
    return [_column(name, sorted(set(values)), random, thermometers, most) for name, values in zip(names, seen, strict=True)]


def _column(name: str, values: Sequence[int], random: Random, thermometer: bool, most: int) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "type": "integer"}
    if thermometer:
        return {**made, "encode": "thermometer", "bounds": _bounds(values, random, most)}
    kind = random.random()
    if kind < 0.6:
        bounds = _bounds(values, random, random.choice([255, 256, 600]) if random.random() < 0.03 else most)
        step = _step(random, 255 // len(bounds)) if len(bounds) <= 255 else {}
        return {**made, "encode": "bins", "bounds": bounds, **step}
    if kind < 0.8:
        low, high = sorted(random.sample(sorted({*values, 0, 1, 2**64 - 1, -(2**63)}), 2))
        return {**made, "encode": "linear", "low": low, "high": high}
    fraction = random.choice([0, 1, 2, 3, 7])
    octaves = random.randint(0, 255 // 2**fraction - 1)
    low = max(1, random.choice([*values, 1, 2, 3, 4, 256]))
    high = min(2**64 - 1, random.choice([low << min(octaves, 63), (low << min(octaves, 63)) + 1, low, low + 1]))
    return {**made, "encode": "log2", "low": low, "high": high, "fraction": fraction}


def _step(random: Random, most: int) -> dict[str, int]:
    return {"step": random.choice([1, most, random.randint(1, most)])} if random.random() < 0.7 else {}


def _bounds(values: Sequence[int], random: Random, most: int) -> list[int]:
    """At results, one above, and anywhere, rising; one that all reach, and one that none does."""
    pool = {
        *values,
        *(value + 1 for value in values),
        0,
        1,
        -1,
        1 << random.randrange(64),
        random.randrange(2**64),
        2**64 - 1,
        -(2**63),
    }
    pool = {value for value in pool if -(2**63) <= value < 2**64}
    while len(pool) < most and most > 16:
        pool.add(random.randrange(2**64))
    return sorted(random.sample(sorted(pool), random.randint(1, min(most, len(pool)))))
