"""Reads the members of a table of a spec. Every function raises :class:`ModelError` with the member, its value and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from typing import Any

from ..errors import ModelError, nearest
from .conditions import parse
from .refusal import Path, SpecError, place, shown
from .spec import MOST_CONDITIONS, Condition
from .units import duration

Table = Mapping[str, Any]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
FIELD = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)
_DEEPEST, _LONGEST = 8, 4096
_REMEDY = "use integers of 64 bits, numbers, texts, true and false, lists and tables"


def plain(value: object, path: Path = ()) -> None:
    """Raises :class:`ModelError` for what JSON cannot carry, integers over 64 bits, long texts, and deep nesting."""
    if len(path) > _DEEPEST:
        raise SpecError(f"lists and tables are nested over {_DEEPEST} deep; use fewer", path[:2])
    if isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(name, str) or not name.isprintable():
                raise SpecError(f"{shown(name)} is not the name of a member; use letters and digits", path)
            plain(each, (*path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            plain(each, (*path, number))
    elif not _simple(value):
        raise SpecError(f"{shown(path[-1] if path else '')} is {shown(value)}; {_REMEDY}", path)


def _simple(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST and value.isprintable()
    if isinstance(value, bool):
        return True
    return -(1 << 63) <= value < 1 << 64 if isinstance(value, int) else isinstance(value, float) and isfinite(value)


def only(given: Table, known: Iterable[str], what: str) -> None:
    """Refuses a member that is not ``known``."""
    names = list(known)
    for name in given:
        if name not in names:
            remedy = nearest(name, names, alike=0.6) or f"; use {', '.join(names)}"
            raise SpecError(f"{what} has no member {shown(name)}{remedy}", (name,))


@contextmanager
def member(name: str) -> Iterator[None]:
    """What is refused inside is about the member ``name``."""
    with place("", name):
        yield


def text(given: Table, name: str, default: str | None = None, pattern: re.Pattern[str] = FIELD, remedy: str = "") -> str:
    """A text of the form ``pattern``. Without a ``default`` it must be there."""
    if name not in given and default is not None:
        return default
    value = given.get(name)
    if name not in given:
        raise ModelError(f"has no member '{name}'; {remedy or 'add it'}")
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise SpecError(f"{name} is {shown(value)}; {remedy or 'give a name'}", (name,))
    return value


def integer(given: Table, name: str, low: int, high: int, default: int) -> int:
    """An integer in ``low..high``."""
    value = given.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise SpecError(f"{name} is {shown(value)}; give an integer of {low} to {high}", (name,))
    return value


def flag(given: Table, name: str) -> bool:
    """True or False, False if it is not there."""
    value = given.get(name, False)
    if type(value) is not bool:
        raise SpecError(f"{name} is {shown(value)}; give true or false", (name,))
    return value


def texts(given: Table, name: str) -> tuple[str, ...]:
    """A list of texts, or one text. Empty if it is not there."""
    value = given.get(name, [])
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value) or (name in given and not value):
        raise SpecError(f"{name} is {shown(value)}; give a text, or a list of texts", (name,))
    if len(set(value)) < len(value):
        raise SpecError(f"{name} has a text twice; leave one out", (name,))
    return tuple(value)


def table(given: Table, name: str) -> Table:
    """A table, an empty one if it is not there."""
    value = given.get(name, {})
    if not isinstance(value, dict):
        raise SpecError(f"{name} is {shown(value)}; give a table, [{name}]", (name,))
    return value


def tables(given: Table, name: str, most: int) -> list[Table]:
    """1 to ``most`` tables."""
    value = given.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise SpecError(f"{name} is {shown(value)}; give tables, each after a line [[{name}]]", (name,))
    if not 1 <= len(value) <= most:
        raise SpecError(f"{len(value)} tables [[{name}]]; give 1 to {most}", (name,))
    return value


def nanoseconds(given: Table, name: str) -> int:
    """A duration in nanoseconds, 0 if it is not there."""
    with member(name):
        return duration(given[name], name) if name in given else 0


def conditions(given: Table, name: str) -> tuple[Condition, ...]:
    """A list of conditions, empty if it is not there."""
    value = given.get(name, [])
    if not isinstance(value, list) or len(value) > MOST_CONDITIONS:
        raise SpecError(f"{name} is {shown(value)}; give a list of at most {MOST_CONDITIONS} conditions", (name,))
    with place(name, name):
        return tuple(parse(each) for each in value)


def each(made: Callable[[Table, int], Any], given: list[Table], name: str) -> tuple[Any, ...]:
    """What ``made`` makes of each table. Names are told by ``made`` itself."""
    found = []
    for number, one in enumerate(given):
        with place("", name, number):
            found.append(made(one, number))
    return tuple(found)
