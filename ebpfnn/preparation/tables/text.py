"""Tables of text: CSV with a header line (RFC 4180), and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from ...errors import InputError
from .. import cells
from ..items import Row
from .table import Table, check_names

MAX_ROW = 1 << 20
"""The maximum size of a row in bytes. It bounds the memory for a stream."""


def read_csv(stream: BinaryIO) -> Table:
    """The table whose first line names the columns. Raises :class:`InputError` if there is none."""
    lines = _Lines(stream)
    reader = csv.reader(lines, strict=True)
    header = next(_fields(reader, lines), None)
    if header is None:
        raise InputError("empty; give a header line with the columns' names, and rows below")
    if all(map(_is_number, header)):
        raise InputError("its first line is numbers; put a header line with the columns' names above")
    names = check_names(tuple(name.strip() for name in header))
    return Table(names, _rows(reader, lines, names))


def read_jsonl(stream: BinaryIO) -> Table:
    """The table of JSON objects, one per line. The first one names the columns. Raises :class:`InputError` if it is not one."""
    rows = _objects(_Lines(stream))
    first = next(rows, None)
    if not isinstance(first, Row):
        raise first or InputError("empty; give one JSON object a line")
    return Table(check_names(tuple(first.cells)), chain([first], rows))


class _Lines:
    """The lines of a stream as text. Neither a line nor a row may exceed the limit of a row."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._left, self._begun = stream, MAX_ROW, False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(self._left + 1)
        if not line:
            raise StopIteration
        self._left -= len(line)
        if self._left < 0:
            raise InputError(f"a row is over {MAX_ROW >> 20} MiB, so what follows cannot be told apart; give rows")
        text = line.decode("utf-8", "surrogateescape")  # invalid bytes are refused later, where labels and numbers are checked
        begun, self._begun = self._begun, True
        return text if begun else text.removeprefix("\ufeff")

    def new_row(self) -> None:
        """Tells that a row is complete."""
        self._left = MAX_ROW


def _fields(reader: Iterator[list[str]], lines: _Lines) -> Iterator[list[str]]:
    """The fields of each row that is not empty. Raises :class:`InputError` for malformed quotes."""
    try:
        for fields in reader:
            lines.new_row()
            if fields:
                yield fields
    except csv.Error as error:
        raise InputError(f"not CSV as RFC 4180 has it ({error}); mend it there") from error


def _rows(reader: Iterator[list[str]], lines: _Lines, names: tuple[str, ...]) -> Iterator[Row | InputError]:
    for fields in _fields(reader, lines):
        if len(fields) == len(names):
            yield Row(dict(zip(names, fields, strict=True)))
        else:
            yield InputError(f"{len(fields)} fields, but the header has {len(names)}; give as many")


def _objects(lines: _Lines) -> Iterator[Row | InputError]:
    for line in lines:
        lines.new_row()
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield InputError(f"not JSON ({error}); give one object a line")
            continue
        yield Row(found) if isinstance(found, dict) else InputError("not a JSON object; give one a line, by columns' names")


def _is_number(text: str) -> bool:
    try:
        cells.number(text)
    except InputError:
        return False
    return True
