"""Durations of a spec, and the hash of its reducers. docs/events.md defines both."""

from __future__ import annotations

import re

from ..errors import ModelError
from .spec import LONGEST

_TEXT = re.compile(r"([0-9]{1,19})(ns|us|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
HASH_FACTOR = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4)."""


def duration(value: object, name: str) -> int:
    """``value``, an integer or a text such as ``"30s"``, in nanoseconds. Raises :class:`ModelError` that calls it ``name``."""
    found = _TEXT.fullmatch(value) if isinstance(value, str) else None
    number = int(found[1]) * _UNITS[found[2]] if found else value
    if type(number) is not int or not 1 <= number <= LONGEST:
        raise ModelError(f'{name} is {value!r}; give a duration such as "30s" or "250us", at most 2^62 ns')
    return number


def hashed(value: int, bits: int) -> int:
    """The highest ``bits`` bits of ``value`` times :data:`HASH_FACTOR` modulo 2^64."""
    return (value * HASH_FACTOR & (1 << 64) - 1) >> 64 - bits
