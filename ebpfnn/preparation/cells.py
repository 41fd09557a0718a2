"""Converts cells of a table to the numbers that columns compare: integers exactly, other numbers to float64."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..errors import InputError

LOWEST, HIGHEST = -(1 << 63), (1 << 64) - 1
"""The range of an integer column: every int64 and every uint64."""
EXACT = 1 << 53
"""Up to this value, each integer has its own float64."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]{1,9})?|inf(?:inity)?)", re.IGNORECASE)
_NOTHING = frozenset({"", "-", "na", "n/a", "nan", "null", "none"})
"""Texts for a missing value, in lower case."""
_SHOWN = 40


def number(cell: Any) -> int | float:
    """The number in ``cell``: a number of Python or numpy, or decimal text. Booleans are 0 and 1.

    Raises :class:`InputError` if it is not a number: no value, NaN, other text.
    """
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, str):
        return _from_text(cell.strip())
    if cell is None or cell != cell:  # NaN
        raise InputError("no value; give a number")
    if isinstance(cell, int) and LOWEST <= cell <= HIGHEST:
        return int(cell)
    if isinstance(cell, (int, float)):
        return _rounded(cell)
    raise InputError(f"{shown(cell)} is not a number; give one")


def integer(cell: Any) -> int:
    """The integer in ``cell``, in -2^63..2^64-1. Raises :class:`InputError` if it is not one.

    A float, or text with a decimal point, is accepted up to 2^53, since it cannot have been rounded there.
    """
    found = number(cell)
    if isinstance(found, float):
        if not abs(found) <= EXACT or found != int(found):
            raise InputError(f"{shown(cell)} is not an integer of 64 bits; give one, or train this column as a float")
        return int(found)
    if not LOWEST <= found <= HIGHEST:
        raise InputError(f"{shown(cell)} is beyond 64 bits; give less")
    return found


def real(cell: Any) -> float:
    """The float64 nearest to the number in ``cell``, infinities included. Raises :class:`InputError` if it is not a number."""
    return float(number(cell))


def shown(cell: Any) -> str:
    """``cell`` as messages show it."""
    text = repr(cell)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _from_text(text: str) -> int | float:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if text.lower() in _NOTHING:
        raise InputError("no value; give a number")
    raise InputError(f"{shown(text)} is not a number; give one")


def _rounded(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{shown(value)} is beyond float64; give less") from None
