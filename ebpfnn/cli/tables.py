"""Tables without lines, one row a line where nobody looks on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from .group import printable


def print_table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Prints ``rows`` in columns under ``headings``."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    # A pipe has no width: whoever reads it wants one row a line.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)
