"""Tables without lines: as wide as the terminal, and in a pipe one row per line, for awk(1) and grep(1)."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from ..errors import printable

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 10_000
"""The width in characters if there is no terminal: columns are neither folded nor truncated."""
_SHORT = 16
"""The maximum width, in characters, of columns that are never folded: names and numbers."""
_Rows = list[list[str]]


def on_terminal() -> bool:
    """Whether standard output is a terminal, whose width is used."""
    return sys.stdout is not None and sys.stdout.isatty()


def open_console() -> Console:
    """A console that prints rich's tables on standard output unchanged."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=None if on_terminal() else _WIDE)


def print_table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Prints ``rows`` in columns under ``headings``, and ``-`` for empty cells.

    On a terminal, long text continues below in its column.
    """
    cells = [[printable(str(cell)) or "-" for cell in row] for row in rows]
    heads = list(headings)
    click.echo("\n".join(_folded(heads, cells) if on_terminal() else _whole([heads, *cells])))


def _whole(cells: _Rows) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _folded(heads: list[str], cells: _Rows) -> Iterator[str]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(heads):
        short = all(len(row[number]) <= _SHORT for row in cells)
        table.add_column(heading, overflow="fold", no_wrap=short or number == 0)
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console(width=shutil.get_terminal_size().columns)
    with console.capture() as captured:
        console.print(table)
    yield from (line.rstrip() for line in captured.get().splitlines())
