"""Rows as they are collected, written and read again: results of a spec, and the columns that are never inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..preparation import Row
from ..preparation.tables import SUFFIXES, Table, read_about, read_table
from ..preparation.tables.collected import GROUP, KEY, LABEL, NUMBER, OWN, TIME

FORMATS = (".npz", ".parquet", ".csv")
"""The suffixes of files that rows can be collected to."""
BLOCK = 4096
_WORD = 1 << 64


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows. ``results``, uint64 [n, results]; ``numbers`` and ``times`` (ns), uint64 [n]; the others have n texts."""

    results: NDArray[np.uint64]
    keys: Sequence[str]
    numbers: NDArray[np.uint64]
    times: NDArray[np.uint64]
    labels: Sequence[str]
    groups: Sequence[str]

    def __len__(self) -> int:
        return len(self.results)

    def first(self, count: int) -> Rows:
        """The first ``count`` of them."""
        taken = slice(count)
        own = (self.keys[taken], self.numbers[taken], self.times[taken], self.labels[taken], self.groups[taken])
        return Rows(self.results[taken], *own)


def check_format(path: Path) -> str:
    """The suffix of ``path``. Raises :class:`InputError` if rows cannot be written as that."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: not the name of a table; let it end in {', '.join(FORMATS)}")
    return suffix


@contextmanager
def reading(path: Path) -> Iterator[tuple[tuple[str, ...], dict[str, Any], Iterator[Rows]]]:
    """The names of the results in a collected file, what :func:`read_about` says of it, and its rows in blocks.

    Raises :class:`InputError` if the file was not collected, or is damaged.
    """
    suffix = check_format(path)
    about = read_about(path)
    try:
        with open(path, "rb") as file:
            try:
                table = read_table(SUFFIXES[suffix], file)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            missing = [name for name in OWN if name not in table.names]
            if missing:
                raise InputError(f"{path}: no column '{missing[0]}'; give a file that ebpfnn collect wrote")
            names = tuple(name for name in table.names if name not in OWN)
            yield names, about, _blocks(table, names, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file that you may read") from error


def _blocks(table: Table, names: Sequence[str], path: Path) -> Iterator[Rows]:
    block: list[Mapping[str, Any]] = []
    for where, row in chain(table.numbered(str(path)), [("", None)]):
        if isinstance(row, InputError):
            raise row
        if isinstance(row, Row):
            block.append(_checked(row.cells, names, where))
        if block and (row is None or len(block) == BLOCK):
            yield _together(block, names)
            block = []


def _checked(cells: Mapping[str, Any], names: Iterable[str], where: str) -> dict[str, Any]:
    made: dict[str, Any] = {name: str(cells[name] or "") for name in (KEY, LABEL, GROUP)}
    for name in (*names, NUMBER, TIME):
        try:
            made[name] = int(cells[name])
        except (TypeError, ValueError):
            made[name] = -1
        if not 0 <= made[name] < _WORD:
            raise InputError(f"{where}: column '{name}' is {cells[name]!r}; it must be an integer of 64 bits, so collect again")
    return made


def _together(block: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Rows:
    def numbers(name: str) -> NDArray[np.uint64]:
        return np.array([row[name] for row in block], np.uint64)

    results = np.empty((len(block), len(names)), np.uint64)
    for column, name in enumerate(names):
        results[:, column] = numbers(name)
    texts = {name: [row[name] for row in block] for name in (KEY, LABEL, GROUP)}
    return Rows(results, texts[KEY], numbers(NUMBER), numbers(TIME), texts[LABEL], texts[GROUP])
