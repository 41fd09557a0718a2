"""Which range of a column's values its bytes stand for, and in which steps.

A column gives one or more bytes, which together count steps of one width. A value is worth the middle of its step. So values
that are multiples of a unit, such as integers, keep their exact worth where they lie in the middle of steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..network.layers import expect

LEVELS = 255
"""Steps that a byte counts."""
MARGIN = 1.0
"""By how many standard deviations a range reaches beyond the values that were seen."""
DEVIATIONS = 5.0
"""How far a range reaches on both sides of a mean if no values were seen."""
_LARGEST = float(np.finfo(np.float32).max) / 16
"""Leaves room for what lies beyond a range."""
_FEW = 120
"""The most units of a column whose values are kept exactly."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coded:
    """A column: ``count`` bytes that count the steps of width ``step`` above ``low``."""

    name: str
    low: float
    step: float
    count: int = 1

    @property
    def high(self) -> float:
        """The end of its range."""
        return self.low + self.step * LEVELS * self.count

    def described(self) -> dict[str, Any]:
        """The column as a network stores it, for the preparation ``columns``."""
        told = {"name": self.name, "type": "float", "encode": "linear", "low": self.low, "high": self.high}
        return told | ({"bytes": self.count} if self.count > 1 else {})


@dataclass(frozen=True)
class Split:
    """A column of one byte: 255 for a value of at least ``bound``, else 0."""

    name: str
    bound: float

    @property
    def count(self) -> int:
        """Its bytes."""
        return 1

    def described(self) -> dict[str, Any]:
        """As :meth:`Coded.described`."""
        return {"name": self.name, "type": "float", "encode": "bins", "bounds": [self.bound], "step": LEVELS}


def of_values(name: str, values: _Floats, count: int) -> Coded:
    """The code of a column with ``values``, [n], finite, in ``count`` bytes.

    Raises :class:`InputError`, naming the column, for a range that leaves float32.
    """
    lowest, highest = float(values.min()), float(values.max())
    if max(-lowest, highest) > _LARGEST:
        raise InputError(f"column '{name}': values of {lowest:g} to {highest:g} leave float32; give smaller ones")
    unit = _unit(values)
    margin = MARGIN * float(values.std())
    if unit:
        return _of_units(name, lowest, round((highest - lowest) / unit), unit, margin, count)
    return _even(name, lowest - margin, highest + margin, count)


def of_scale(name: str, mean: float, deviation: float, count: int) -> Coded:
    """The code of a column of which only ``mean`` and ``deviation`` are known: five deviations on both sides."""
    expect(np.isfinite(mean) and 0 < deviation < _LARGEST, f"column '{name}' has no range; give --calibration")
    return _even(name, mean - DEVIATIONS * deviation, mean + DEVIATIONS * deviation, count)


def _even(name: str, low: float, high: float, count: int) -> Coded:
    return Coded(name, low, (high - low) / (LEVELS * count), count)


def _unit(values: _Floats) -> float:
    """What all differences of ``values`` are multiples of, at most 120 times; 0 if there is no such unit.

    A column of one value has itself as a unit, or 1.
    """
    distinct = np.unique(values)
    if len(distinct) == 1:
        return max(1.0, abs(float(distinct[0])))
    if len(distinct) > _FEW + 1:
        return 0.0
    whole = bool((distinct == np.rint(distinct)).all())
    for unit in (1.0, float(np.diff(distinct).min())) if whole else (float(np.diff(distinct).min()),):
        units = (distinct - distinct[0]) / unit
        if units[-1] <= _FEW and bool((np.abs(units - np.rint(units)) < 1e-3).all()):
            return float((distinct[-1] - distinct[0]) / max(1, np.rint(units[-1])))
    return 0.0


def _of_units(name: str, lowest: float, units: int, unit: float, margin: float, count: int) -> Coded:
    """Steps of a unit's ``m``-th part, as fine as ``count`` bytes have them, so that multiples lie in the middle of steps."""
    beyond = max(1, int(np.ceil(margin / unit)))
    parts = max(1, LEVELS * count // (units + 2 * beyond))
    step = unit / parts
    below = (LEVELS * count - units * parts) // 2
    return Coded(name, lowest - (below + 0.5) * step, step, count)
