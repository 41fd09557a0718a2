"""Rows of numbers from a table, for networks whose columns have no bounds yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..preparation import Row, Values, cells
from ..preparation.tables import SUFFIXES, Table, is_table, read_table
from . import npz
from .datasets import table
from .tables import LABELS, MAX_CELLS, class_name

_REMEDY = "give a .csv, .jsonl, .npz, .npy or .parquet file"


class Numbers(NamedTuple):
    """``values`` float64 [n, columns], the ``names`` of the columns, and the class of each row, empty if unknown."""

    values: NDArray[np.float64]
    names: tuple[str, ...]
    labels: tuple[str, ...]


def has_rows(path: Path) -> bool:
    """Whether the data at ``path`` are rows of numbers: a table, or arrays that are no bytes.

    Raises :class:`InputError` for an .npz file that is malformed.
    """
    place = table(path, "train") or path
    if place.suffix.lower() != npz.SUFFIX or not place.is_file():
        return is_table(place)
    return is_table(place) or npz.has_numbers(place)


def read(path: Path, columns: int, wanted: tuple[str, ...] = ()) -> Numbers:
    """The rows of the table at ``path``, of ``columns`` columns. One column more has the labels.

    The column of labels is called as one, or is the last. A table with all columns that are ``wanted`` may have others and
    another order. Columns of arrays without names are called as those, or x0, x1, ... Raises :class:`InputError`, naming the
    file and the row, for another number of columns and for what is not a finite number.
    """
    place = table(path, "train") or path
    kind = SUFFIXES.get(place.suffix.lower())
    if kind is None or place.is_dir():
        raise InputError(f"{path}: no table, but the network takes rows of {columns} columns; {_REMEDY}")
    try:
        with open(place, "rb") as file:
            try:
                return _read(read_table(kind, file), place, columns, wanted)
            except InputError as error:
                where = "" if str(error).startswith(str(place)) else f"{place}: "
                raise InputError(f"{where}{error}") from error
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror}); give a file that you may read") from error


def _read(opened: Table, place: Path, columns: int, wanted: tuple[str, ...]) -> Numbers:
    if wanted and set(wanted) <= set(opened.names):
        label, names = next((name for name in opened.names if name.lower() in LABELS and name not in wanted), ""), wanted
    else:
        label = _label(opened.names, columns)
        names = tuple(name for name in opened.names if name != label) or wanted or tuple(f"x{n}" for n in range(columns))
    values: list[list[float]] = []
    labels: list[str] = []
    for where, row in opened.numbered(str(place)):
        if isinstance(row, InputError):
            raise row
        values.append(_numbers(row, names, where))
        if label and isinstance(row, Row):
            labels.append(class_name(row.cells.get(label), where))
        if len(values) * columns > MAX_CELLS:
            raise InputError(f"over {MAX_CELLS:,} numbers; give fewer rows")
    if not values:
        raise InputError("no rows; give some")
    return Numbers(np.array(values), names, tuple(labels))


def _label(names: tuple[str, ...], columns: int) -> str:
    if not names or len(names) == columns:
        return ""
    called = [name for name in names if name.lower() in LABELS]
    if len(names) != columns + 1:
        fact = f"has {len(names)} columns, but the network takes {columns}"
        raise InputError(f"{fact}; give these in their order, and at most one of labels")
    return called[0] if called else names[-1]


def _numbers(row: Row | Values, names: tuple[str, ...], where: str) -> list[float]:
    if isinstance(row, Values):
        if row.array.shape != (len(names),):
            raise InputError(f"{where}: {list(row.array.shape)} values, but the network takes {len(names)}; give as many")
        found: list[Any] = row.array.tolist()
    else:
        found = [row.cells.get(name) for name in names]
    return [_finite(cell, name, where) for cell, name in zip(found, names, strict=True)]


def _finite(cell: Any, name: str, where: str) -> float:
    try:
        value = cells.real(cell)
    except InputError as error:
        raise InputError(f"{where}: column '{name}': {error}") from None
    if not np.isfinite(value):
        raise InputError(f"{where}: column '{name}': {value} is not finite; give a number")
    return value
