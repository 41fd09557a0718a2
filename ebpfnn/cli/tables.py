"""Tables without lines, as wide as the terminal; 80 columns where there is none."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable

import click

from ..errors import printable

_WIDE = 1000
_SHORT = 16
"""Characters of what is never folded: columns of names and numbers."""


def print_table(headings: Iterable[str], rows: Iterable[Iterable[object]], *, whole_rows: bool = False) -> None:
    """Prints ``rows`` in columns under ``headings``; what is too long goes on below, in its column.

    With ``whole_rows`` a pipe is given one row a line, however long.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    heads, *cells = [list(headings), *([printable(str(cell)) for cell in row] for row in rows)]
    for number, heading in enumerate(heads):
        short = all(len(row[number]) <= _SHORT for row in cells)
        table.add_column(heading, overflow="fold", no_wrap=short or number == 0)
    for row in cells:
        table.add_row(*map(Text, row))
    width = _WIDE if whole_rows and not sys.stdout.isatty() else shutil.get_terminal_size().columns
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
