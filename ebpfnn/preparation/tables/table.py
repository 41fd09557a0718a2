"""A table while it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...errors import InputError, nearest
from ..items import Row, Values

MAX_BYTES = 256 << 20
"""The limit of data that has to be in memory at once: an array, or a row group of Parquet."""
MAX_COLUMNS = 10_000
_SHOWN = 12
BLOCK = 1024
"""The number of rows that are taken from an array at a time."""


@dataclass(frozen=True, eq=False)
class Table:
    """The ``names`` of the columns, and the ``rows`` in order, which can be iterated once.

    Arrays without names give :class:`Values`, by position, and no ``names``. A row that cannot be read is yielded as an error,
    without its place; the rows after it follow. The iteration raises :class:`InputError` if no further row can be read.
    """

    names: tuple[str, ...]
    rows: Iterator[Row | Values | InputError]

    def numbered(self, name: str) -> Iterator[tuple[str, Row | Values | InputError]]:
        """Each row with its place: ``name`` of the file, and the row number from 1, without the header.

        Errors, both yielded and raised, name the place.
        """
        number = 0
        try:
            for number, row in enumerate(self.rows, 1):
                yield f"{name}:{number}", InputError(f"{name}:{number}: {row}") if isinstance(row, InputError) else row
        except InputError as error:
            raise InputError(f"{name}:{number + 1}: {error}") from error

    def check_has(self, wanted: Iterable[str]) -> None:
        """Raises :class:`InputError` if a wanted column is missing. A table without names cannot be checked."""
        for name in wanted if self.names else ():
            if name not in self.names:
                shown = ", ".join(self.names[:_SHOWN]) + (", ..." if len(self.names) > _SHOWN else "")
                raise InputError(f"no column '{name}', but {shown}{nearest(name, self.names) or '; give it too'}")


def check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """``names``. Raises :class:`InputError` for a duplicate name, except empty ones, and for over 10,000 names."""
    seen: set[str] = set()
    for name in filter(None, names):
        if name in seen:
            raise InputError(f"column '{name}' is there more than once; name each column once")
        seen.add(name)
    if len(names) > MAX_COLUMNS:
        raise InputError(f"{len(names)} columns; {MAX_COLUMNS:,} are the limit, so give fewer")
    return names
