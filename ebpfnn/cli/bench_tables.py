"""Measurements as text for a terminal."""

from __future__ import annotations

import click
from rich.table import Table

from ..bench.rows import Row, baseline, times_faster
from ..errors import printable
from .tables import open_console

BASELINES = ("naive", "ort-iobinding", "avx2-intrinsics")
"""The rows that others are compared with, as multiples."""


def print_tables(rows: list[Row]) -> None:
    """A table per network, input and cache state. Ratios are between the minimum times of this run."""
    console = open_console()
    tables: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        tables.setdefault((row.network, row.input, row.cache), []).append(row)
    for (network, given, cache), some in tables.items():
        click.echo(f"{printable(network)}, {given} samples, {cache} caches: ns per inference; x NAME: speedup over that row")
        console.print(_table(some, rows))
        click.echo()


def _table(some: list[Row], rows: list[Row]) -> Table:
    table = Table("row", "minimum", "median", *(f"x {name}" for name in BASELINES), "exact", "right", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in some:
        ratios = (times_faster(row, baseline(rows, name, row)) for name in BASELINES)
        told = ("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
        right = "" if row.accuracy is None else f"{row.accuracy:.2%}"
        table.add_row(row.name, f"{row.ns_min:,.0f}", f"{row.ns_median:,.0f}", *told, _exactness(row), right)
    return table


def _exactness(row: Row) -> str:
    """Whether every score equals the reference's; for floats, how many labels do."""
    if row.exact is not None:
        return "yes" if row.exact else "NO"
    return "" if row.agreement is None else f"{row.agreement:.1%} of labels"
