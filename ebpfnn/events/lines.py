"""The lines of a TOML text where the tables and members of a spec are, for messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from .refusal import Path

_TABLE = re.compile(r"\s*(\[\[?)\s*([A-Za-z]+)\s*\]\]?\s*(?:#.*)?")
_MEMBER = re.compile(r"\s*([A-Za-z0-9_-]+|\"[A-Za-z0-9_-]+\")\s*[=.]")


def find(text: str, read: Mapping[str, Any]) -> dict[Path, int]:
    """The line, from 1, of each table and member of ``text``, which TOML reads as ``read``.

    A line that is not certain is left out: tables that are written in another way than ``[at]`` and ``[[column]]``, and all
    of a text with texts of several lines.
    """
    if '"""' in text or "'''" in text:
        return {}
    found: dict[Path, int] = {}
    twice = set[Path]()
    here: Path = ()
    tables = Counter[str]()
    for number, line in enumerate(text.split("\n"), 1):
        table, member = _TABLE.fullmatch(line.rstrip("\r")), _MEMBER.match(line)
        path: Path
        if table:
            path = here = (table[2], tables[table[2]]) if table[1] == "[[" else (table[2],)
            tables[table[2]] += 1
        elif member:
            path = (*here, member[1].strip('"'))
        else:
            continue
        if path in found:
            twice.add(path)
        found.setdefault(path, number)
    return {path: line for path, line in found.items() if path not in twice and _there(path, read)}


def _there(path: Path, read: Any) -> bool:
    for step in path:
        try:
            read = read[step]
        except (LookupError, TypeError):
            return False
    return True
