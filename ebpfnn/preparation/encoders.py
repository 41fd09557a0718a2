"""Encoders: rules that give a column its bounds. docs/preparation.md defines them.

Bounds of an integer column are integers: for an integer, ``x >= r`` is true if and only if ``x >= ceil(r)`` is.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil, isfinite

from ..errors import ModelError

INTEGER, FLOAT = "integer", "float"
TYPES = (INTEGER, FLOAT)
MOST = 255
"""The most bounds that a byte counts."""
WIDEST = (1 << 16) - 1
"""The most bounds of a wide column, which gives several bytes."""

Number = int | float
Bounds = tuple[Number, ...]
"""The bounds of a column: integers or floats, none below the one before."""


def linear(low: Number, high: Number, kind: str, steps: int = MOST) -> Bounds:
    """Even steps: ``low + k (high - low) / steps`` for k = 1..steps. Raises :class:`ModelError` unless ``low < high``."""
    if not low < high:
        raise ModelError(f"low {low} is not below high {high}; give a range")
    first, reach = Fraction(low), Fraction(high) - Fraction(low)
    return tuple(_as(kind, first + reach * k / steps) for k in range(1, steps + 1))


def log2(low: Number, high: Number, fraction: int, kind: str) -> Bounds:
    """The steps ``2^e (1 + m / 2^fraction)``, m = 0..2^fraction - 1, that lie in ``low..high``.

    Raises :class:`ModelError` if these are not a range above 0, or give more than 255 steps.
    """
    if not 0 < low <= high or not 0 <= fraction <= 7:
        raise ModelError(f"log2 from {low} to {high} in 2^{fraction} steps an octave; give 0 < low <= high, 0 <= fraction <= 7")
    first, last = Fraction(low), Fraction(high)
    steps: list[Number] = []
    octave = _octave(first)
    while octave <= last:
        for m in range(1 << fraction):
            step = octave * (Fraction(m, 1 << fraction) + 1)
            if first <= step <= last:
                steps.append(_as(kind, step))
        if len(steps) > MOST:
            raise ModelError(f"log2 from {low} to {high} has over {MOST} steps; give a smaller fraction")
        octave *= 2
    return tuple(steps)


def explicit(bounds: Bounds) -> Bounds:
    """The given ``bounds``. Raises :class:`ModelError` if they do not increase."""
    if not all(one < other for one, other in pairwise(bounds)):
        raise ModelError("its bounds do not rise; sort them, each once")
    return bounds


def _octave(value: Fraction) -> Fraction:
    """The highest power of two that does not exceed ``value``."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    power = Fraction(2) ** exponent
    return power / 2 if power > value else power


def _as(kind: str, value: Fraction) -> Number:
    """The lowest integer that is not less than ``value``, or the float64 nearest to it."""
    if kind == INTEGER:
        return ceil(value)
    nearest = float(value)
    if not isfinite(nearest):
        raise ModelError("its range leaves float64; give a smaller one")
    return nearest
