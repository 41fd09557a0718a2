"""Writers of collected rows: CSV and Parquet piece by piece, .npz at the end. Room is reserved before anything is written."""

from __future__ import annotations

import csv
import io
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, NotSupported
from ..files import Growing
from ..preparation.tables.collected import GROUP, KEY, LABEL, NUMBER, OWN, SPEC, TIME, encode_about
from ..preparation.tables.table import MAX_BYTES
from .rooms import NoRoom, filling, reserve, telling
from .rows import Rows, check_format

GROUP_ROWS = 1 << 16
"""Rows of a row group of Parquet: as many are in memory."""
_LEAST_ROWS = 256  # of a row group, when the disk is nearly full
_CHARACTER = 4  # bytes of one in numpy's texts
_ENTRY = 512  # bytes of an entry of a zip archive, with the header of its array


class Writer(ABC):
    """Writes rows to ``held``. What was added before :class:`NoRoom` is whole, and :meth:`finish` has room to end the file."""

    def __init__(self, path: Path, held: Growing, names: Sequence[str], about: Mapping[str, Any]) -> None:
        self.path, self.held, self.names, self.about = path, held, tuple(names), about
        self.rows = 0

    def add(self, rows: Rows) -> None:
        """Raises :class:`NoRoom`, and :class:`InputError` if the file cannot be written for other reasons."""
        with telling(self.path):
            self._add(rows)

    def flush(self) -> None:
        """Writes what was added, as far as it waits. Raises as :meth:`add`."""
        with telling(self.path):
            self._flush()

    def finish(self) -> None:
        """Ends the file, which is then to be kept. Raises :class:`NoRoom` if rows that waited had no room; others are kept."""
        with telling(self.path):
            self._finish()

    @abstractmethod
    def _add(self, rows: Rows) -> None:
        """Raises :class:`NoRoom`, and :class:`OSError` for other reasons."""

    def _flush(self) -> None:  # noqa: B027  # most writers hold nothing back
        """Raises as :meth:`_add`."""

    def _finish(self) -> None:
        """Raises as :meth:`_add`."""
        self.held.keep()

    def close(self) -> None:  # noqa: B027
        """Frees what it holds. A file that was not finished is not kept."""

    def reserve(self, size: int) -> None:
        reserve(self.held, size)


@contextmanager
def writing(path: Path, names: Sequence[str], about: Mapping[str, Any]) -> Iterator[Writer]:
    """A writer of rows with these results to ``path``, which is replaced at the end if the writer has finished.

    Raises :class:`InputError` if it cannot be written.
    """
    kinds: dict[str, Callable[..., Writer]] = {".csv": CsvWriter, ".parquet": ParquetWriter, ".npz": NpzWriter}
    kind = kinds[check_format(path)]
    taken = next((name for name in names if name in (*OWN, SPEC, "samples", "columns")), None)
    if taken:
        raise InputError(f"column '{taken}': collected files have a column of that name; rename it in the spec")
    with filling(path) as held:
        with telling(path):
            writer = kind(path, held, names, about)
        try:
            yield writer
        finally:
            writer.close()


class CsvWriter(Writer):
    """It carries no spec."""

    def __init__(self, path: Path, held: Growing, names: Sequence[str], about: Mapping[str, Any]) -> None:
        super().__init__(path, held, names, about)
        self._write([(*self.names, *OWN)])

    def _add(self, rows: Rows) -> None:
        own = zip(rows.keys, rows.numbers.tolist(), rows.times.tolist(), rows.labels, rows.groups, strict=True)
        self._write([(*results, *rest) for results, rest in zip(rows.results.tolist(), own, strict=True)])
        self.rows += len(rows)

    def _write(self, lines: Sequence[Sequence[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        data = text.getvalue().encode()
        self.reserve(self.held.file.tell() + len(data))
        self.held.file.write(data)


class ParquetWriter(Writer):
    """Rows wait until there are enough for a row group. Room for the groups, the footer and the spec is reserved first."""

    def __init__(self, path: Path, held: Growing, names: Sequence[str], about: Mapping[str, Any]) -> None:
        super().__init__(path, held, names, about)
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise NotSupported("Parquet: pyarrow is not installed; pip install 'ebpfnn[tables]', or write .npz") from error
        self._arrow = pyarrow
        told = encode_about(about)
        columns = [(name, pyarrow.uint64()) for name in self.names]
        own = [(KEY, pyarrow.string()), (NUMBER, pyarrow.uint64()), (TIME, pyarrow.uint64())]
        own += [(LABEL, pyarrow.string()), (GROUP, pyarrow.string())]
        self._schema = pyarrow.schema([*columns, *own], metadata={SPEC: told})
        self._waiting: list[Rows] = []
        self._groups = 0
        self._fixed = (1 << 16) + 8 * len(told)
        self.reserve(self._end(0))
        self._sink = pyarrow.PythonFile(held.file, mode="w")
        self._writer = parquet.ParquetWriter(self._sink, self._schema, compression="snappy")

    def _add(self, rows: Rows) -> None:
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= GROUP_ROWS:
            self._flush()

    def _finish(self) -> None:
        full: NoRoom | None = None
        try:
            self._flush()
        except NoRoom as error:
            full = error
        self._writer.close()
        super()._finish()
        if full:
            raise full

    def close(self) -> None:
        if not self.held.kept:
            with suppress(OSError, ValueError, self._arrow.ArrowException):
                self._writer.close()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        self._fit(self._table(waiting))

    def _fit(self, table: Any) -> None:
        """Writes as many rows of ``table`` as there is room for. Raises :class:`NoRoom` if that is not all."""
        try:
            self.reserve(self._end(table.nbytes))
        except NoRoom:
            if len(table) <= _LEAST_ROWS:
                raise
            half = len(table) // 2
            self._fit(table.slice(0, half))
            self._fit(table.slice(half))
            return
        self._writer.write_table(table, row_group_size=2 * GROUP_ROWS)
        self._groups += 1
        self.rows += len(table)

    def _end(self, size: int) -> int:
        """The most bytes that the file has after a group of ``size`` bytes, uncompressed, and after its footer."""
        columns = len(self._schema.names)
        return int(self.held.file.tell()) + size * 6 // 5 + columns * 4096 + (self._groups + 1) * columns * 512 + self._fixed

    def _table(self, waiting: Sequence[Rows]) -> Any:
        results = np.concatenate([rows.results for rows in waiting])
        arrays = [self._arrow.array(np.ascontiguousarray(results[:, column])) for column in range(len(self.names))]
        numbers = [np.concatenate([getattr(rows, name) for rows in waiting]) for name in ("numbers", "times")]
        keys, labels, groups = (
            [text for rows in waiting for text in getattr(rows, name)] for name in ("keys", "labels", "groups")
        )
        return self._arrow.table([*arrays, keys, *numbers, labels, groups], schema=self._schema)


class NpzWriter(Writer):
    """Holds all rows until the end, at most as many as readers take."""

    def __init__(self, path: Path, held: Growing, names: Sequence[str], about: Mapping[str, Any]) -> None:
        super().__init__(path, held, names, about)
        self._told = encode_about(about)
        self._parts: list[Rows] = []
        self._longest = dict.fromkeys((KEY, LABEL, GROUP), 1)
        self.reserve(self._size(0))

    def _add(self, rows: Rows) -> None:
        before = dict(self._longest)
        for name, texts in ((KEY, rows.keys), (LABEL, rows.labels), (GROUP, rows.groups)):
            self._longest[name] = max(before[name], max(map(len, texts), default=1))
        try:
            size = self._size(self.rows + len(rows))
            if size > MAX_BYTES:
                raise NoRoom(f"an .npz file of rows has at most {MAX_BYTES >> 20} MiB; write .parquet")
            self.reserve(size)
        except NoRoom:
            self._longest = before
            raise
        self._parts.append(rows)
        self.rows += len(rows)

    def _finish(self) -> None:
        with zipfile.ZipFile(self.held.file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in self._arrays():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        super()._finish()

    def _arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        parts = self._parts
        for column, name in enumerate(self.names):
            yield name, _joined([rows.results[:, column] for rows in parts], np.dtype(np.uint64))
        texts = {KEY: "keys", LABEL: "labels", GROUP: "groups"}
        for name, member in {**texts, NUMBER: "numbers", TIME: "times"}.items():
            kind = np.dtype(f"U{self._longest[name]}") if name in texts else np.dtype(np.uint64)
            yield name, _joined([np.array(getattr(rows, member), kind) for rows in parts], kind)
        yield SPEC, np.frombuffer(self._told, np.uint8)

    def _size(self, rows: int) -> int:
        row = 8 * (len(self.names) + 2) + _CHARACTER * sum(self._longest.values())
        return rows * row + len(self._told) + _ENTRY * (len(self.names) + len(OWN) + 1) + sum(map(len, self.names)) * 2


def _joined(parts: Sequence[NDArray[Any]], kind: np.dtype[Any]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, kind)
