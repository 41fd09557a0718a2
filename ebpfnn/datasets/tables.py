"""Tables with labels: a column of classes, and columns of numbers that a network learns from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..preparation import Item, Row, cells
from ..preparation.tables import SUFFIXES, Table, is_collected, read_table
from ..preparation.tables.collected import GROUP, KEY, NUMBER, TIME
from .idx import MAX_BYTES

LABELS = ("label", "labels", "class", "target")
"""The names of the column of classes, if none is given."""
ALONE = "none"
"""The value of ``split_by`` that splits single rows, unless a column has that name."""
MAX_CELLS = 1 << 26
"""The maximum count of numbers to learn from, 8 bytes each."""
_BLOCK = 4096
_REMEDY = "turn it into numbers, or leave it out with --ignore"
_Told = TypeVar("_Told")


@dataclass(frozen=True, eq=False)
class Labelled:
    """``columns`` by name, int64, uint64 or float64 [n]. ``labels``, [n], are indices into ``classes``.

    ``label`` is the column of classes. ``groups``, [n], are indices into ``sessions``, the values of the column ``split_by``,
    if there is one.
    """

    columns: dict[str, NDArray[Any]]
    labels: NDArray[np.intp]
    classes: tuple[str, ...]
    label: str
    groups: NDArray[np.intp] | None = None
    split_by: str = ""
    sessions: tuple[str, ...] = ()

    def rows(self) -> Iterator[Row]:
        """Every row with its numbers, as another read of the file would return them."""
        for start in range(0, len(self.labels), _BLOCK):
            block = [values[start : start + _BLOCK].tolist() for values in self.columns.values()]
            yield from (Row(dict(zip(self.columns, row, strict=True))) for row in zip(*block, strict=True))


def label_column(names: Sequence[str], wanted: str) -> str:
    """The column of classes: ``wanted``, or the first one with a usual name, or the last.

    Raises :class:`InputError` if there is none.
    """
    if wanted:
        return wanted
    called = [name for name in names if name.lower() in LABELS]
    if not called and not names:
        raise InputError("no columns; give a table with a header")
    return called[0] if called else names[-1]


def read(
    place: Path, prepare: Callable[[Item], NDArray[np.uint8]], classes: tuple[str, ...], label: str
) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The sample of each row, uint8 ``[n, *shape]``, and the index of its class in ``classes``, [n].

    Raises :class:`InputError`, naming the row, for a row that cannot be prepared, for an unknown class, and for over 256 MiB of
    samples.
    """
    indices = {name: index for index, name in enumerate(classes)}

    def index(cell: Any, where: str) -> int:
        name = class_name(cell, where)
        if name not in indices:
            raise InputError(f"{where}: the network knows no class {name!r}; it knows {', '.join(classes)}")
        return indices[name]

    samples, labels = _samples(place, prepare, [label], lambda found, where: index(found[0], where))
    return samples, np.array(labels, np.intp)


def read_samples(place: Path, prepare: Callable[[Item], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """As :func:`read`, without classes."""
    return _samples(place, prepare, [], lambda _found, _where: None)[0]


def read_targets(
    place: Path, prepare: Callable[[Item], NDArray[np.uint8]], columns: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """As :func:`read`, with the numbers in ``columns`` instead of a class: float64 [n, columns], finite.

    "" stands for the usual column of classes.
    """
    samples, targets = _samples(place, prepare, columns, lambda found, where: [_target(cell, where) for cell in found])
    return samples, np.array(targets, np.float64)


def _target(cell: Any, where: str) -> float:
    try:
        found = float(cells.number(cell))
    except InputError as error:
        raise InputError(f"{where}: the target: {error}") from None
    if not np.isfinite(found):
        raise InputError(f"{where}: the target is {found}; give a finite number")
    return found


def _samples(
    place: Path, prepare: Callable[[Item], NDArray[np.uint8]], columns: Sequence[str], tell: Callable[[list[Any], str], _Told]
) -> tuple[NDArray[np.uint8], list[_Told]]:
    """The sample of each row, and what ``tell`` makes of its cells in ``columns`` and its place."""
    samples: list[NDArray[np.uint8]] = []
    found: list[_Told] = []
    with _opened(place) as table:
        names = [_label(table, place, each) for each in columns]
        for where, row in _rows(table, place):
            found.append(tell([row.cells.get(name) for name in names], where))
            samples.append(_prepared(row, where, prepare))
            if len(samples) * samples[0].nbytes > MAX_BYTES:
                raise InputError(f"{place}: its samples are over {MAX_BYTES >> 20} MiB; give fewer rows")
    if not samples:
        raise InputError(f"{place}: no rows; give some")
    return np.stack(samples), found


def load(place: Path, label: str = "", ignored: Collection[str] = (), split_by: str = "") -> Labelled:
    """The whole table at ``place``, without columns that are ``ignored``, have no name, or have no numbers to learn from.

    ``split_by`` is the column of groups, ``""`` for the column ``group`` if there is one, and :data:`ALONE` for none. Of
    collected rows, ``key``, ``number`` and ``time`` are left out.

    Raises :class:`InputError`, naming row and column, for text and for missing values, and for over 2^26 numbers.
    """
    with _opened(place) as table:
        label = _label(table, place, label, [*ignored, *([split_by] if split_by not in ("", ALONE) else ())])
        split_by = _split_by(table.names, split_by, {label, *ignored})
        left_out = {label, split_by, *ignored, *((KEY, NUMBER, TIME, GROUP) if is_collected(table.names) else ())}
        gathered = _Gathered([name for name in table.names if name and name not in left_out], label, split_by)
        if not gathered.columns:
            raise InputError(f"{place}: no columns besides {', '.join(map(repr, sorted(left_out - {''})))}; give some")
        for where, row in _rows(table, place):
            gathered.add(row, where)
            if gathered.rows * len(gathered.columns) > MAX_CELLS:
                raise InputError(f"{place}: over {MAX_CELLS:,} numbers; give fewer rows, or leave columns out with --ignore")
    if not gathered.rows:
        raise InputError(f"{place}: no rows; give some")
    return gathered.labelled(label)


def samples(place: Path, prepare: Callable[[Item], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The sample of each row, uint8 ``[n, *shape]``, whatever its class. Raises as :func:`read`."""
    return _samples(place, prepare, "", lambda cell, where: None)[0]


def row(place: Path, number: int) -> tuple[str, Row]:
    """Row ``number`` of the table at ``place``, counted from 1, and its place. Raises :class:`InputError` if it has fewer."""
    count = 0
    with _opened(place) as table:
        for count, found in enumerate(_rows(table, place), 1):
            if count == number:
                return found
    raise InputError(f"{place}: it has {count:,} rows, and no row {number:,}; give one of these")


def groups(place: Path, column: str) -> NDArray[np.intp]:
    """Numbers for the values of ``column``, [n], counted as they come. Raises :class:`InputError` without such a column."""
    numbers: dict[str, int] = {}
    with _opened(place) as table:
        if column not in table.names:
            raise InputError(f"{place}: no column '{column}', by which the network's rows were split; give the file it had")
        found = [numbers.setdefault(str(row.cells.get(column)), len(numbers)) for _, row in _rows(table, place)]
    return np.array(found, np.intp)


def group_names(place: Path) -> frozenset[str] | None:
    """The values of the column ``group``. None if there is no such column."""
    with _opened(place) as table:
        if GROUP not in table.names:
            return None
        return frozenset(str(row.cells.get(GROUP)) for _, row in _rows(table, place))


def _split_by(names: Sequence[str], wanted: str, used: Collection[str]) -> str:
    """The column of groups, ``""`` for none."""
    if wanted == ALONE and ALONE not in names:
        return ""
    return wanted or (GROUP if GROUP in names and GROUP not in used else "")


def class_name(cell: Any, where: str) -> str:
    """The name of a class: the text of its label; integers without a point. Raises :class:`InputError` for a missing value."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(int(cell) if isinstance(cell, bool) else "" if cell is None else cell).strip()
    whole, point, rest = text.partition(".")
    if point and not rest.strip("0") and whole.lstrip("+-").isdecimal():
        text = whole
    if not text or not text.isprintable() or text == "nan":
        raise InputError(f"{where}: no label that can be shown; give every row one")
    return text


@dataclass
class _Gathered:
    """The rows so far: the current block as it was read, the earlier ones as arrays."""

    columns: list[str]
    label: str
    split_by: str
    rows: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._labels: list[int] = []
        self._groups: list[int] = []
        self._block: dict[str, list[int | float]] = {name: [] for name in self.columns}
        self._arrays: dict[str, list[NDArray[Any]]] = {name: [] for name in self.columns}

    def add(self, row: Row, where: str) -> None:
        name = class_name(row.cells.get(self.label), where)
        self._labels.append(self.classes.setdefault(name, len(self.classes)))
        if self.split_by:
            self._groups.append(self.sessions.setdefault(str(row.cells.get(self.split_by)), len(self.sessions)))
        for column, values in self._block.items():
            try:
                values.append(cells.number(row.cells.get(column)))
            except InputError as error:
                raise InputError(f"{where}: column '{column}': {str(error).partition(';')[0]}; {_REMEDY}") from None
        self.rows += 1
        if self.rows % _BLOCK == 0:
            self._close_block()

    def labelled(self, label: str) -> Labelled:
        self._close_block()
        classes = sorted(self.classes, key=_order)
        indices = {name: index for index, name in enumerate(classes)}
        rank = np.array([indices[name] for name in self.classes], np.intp)
        arrays = {name: _joined(self._arrays.pop(name), name) for name in self.columns}
        groups = np.array(self._groups, np.intp) if self.split_by else None
        labels = rank[np.array(self._labels, np.intp)]
        return Labelled(arrays, labels, tuple(classes), label, groups, self.split_by, tuple(self.sessions))

    def _close_block(self) -> None:
        for name, values in self._block.items():
            if values:
                self._arrays[name].append(_array(values))
                values.clear()


def _array(values: list[int | float]) -> NDArray[Any]:
    """The values as int64 or uint64 if all are integers of that range, else as float64."""
    if all(type(value) is int for value in values):
        for kind in (np.int64, np.uint64):
            if np.iinfo(kind).min <= min(values) and max(values) <= np.iinfo(kind).max:
                return np.array(values, kind)
    return np.array([float(value) for value in values])


def _joined(blocks: list[NDArray[Any]], name: str) -> NDArray[Any]:
    """One array of all ``blocks``. numpy would convert a mix of int64 and uint64 to floats."""
    kinds = {block.dtype.kind for block in blocks}
    if kinds == {"i", "u"}:
        if any(block.dtype.kind == "i" and int(block.min()) < 0 for block in blocks):
            raise InputError(f"column '{name}': negative numbers beside some from 2^63 on; give what 64 bits hold")
        blocks = [block.astype(np.uint64) for block in blocks]
    return np.concatenate(blocks)


@contextmanager
def _opened(place: Path) -> Iterator[Table]:
    kind = SUFFIXES[place.suffix.lower()]
    try:
        with open(place, "rb") as file:
            try:
                table = read_table(kind, file)
            except InputError as error:
                raise InputError(f"{place}: {error}") from error
            yield table
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror}); give a file that you may read") from error


def _label(table: Table, place: Path, wanted: str, others: Sequence[str] = ()) -> str:
    """The column of classes. Raises :class:`InputError`, naming the file, if it or one of ``others`` does not exist."""
    try:
        label = label_column(table.names, wanted)
        table.check_has([label, *others])
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return label


def _rows(table: Table, place: Path) -> Iterator[tuple[str, Row]]:
    """Every row with its place. Raises :class:`InputError` for the first row that cannot be read."""
    for where, row in table.numbered(str(place)):
        if isinstance(row, InputError):
            raise row
        if not isinstance(row, Row):
            raise InputError(f"{place}: its columns have no names; give `columns` too")
        yield where, row


def _prepared(row: Row, where: str, prepare: Callable[[Item], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    try:
        return prepare(row)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _order(name: str) -> tuple[bool, int, str]:
    """Sort key: numbers by value, then other names alphabetically."""
    digits = name.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 19
    return not is_number, int(name) if is_number else 0, name
