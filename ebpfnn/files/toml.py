"""TOML from untrusted files, in time that grows with their size."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_DOTS = 64  # tomllib takes time with the square of the parts of a key (CPython 3.11)


def parse(data: bytes) -> dict[str, Any]:
    """The tables in ``data``. Raises :class:`ValueError` if it is no TOML, or a key has too many parts, else RecursionError."""
    text = data.decode()
    if any(part.count(".") > _MOST_DOTS for line in text.split("\n") for part in line.split("=")):
        raise ValueError(f"a key of over {_MOST_DOTS} parts")
    found: dict[str, Any] = tomllib.loads(text)
    return found
