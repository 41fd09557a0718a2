"""What events cost as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.table import Table

from ..bench.event_case import Case
from ..bench.event_measure import EventBench
from ..bench.event_rows import EventRow, above, row_of
from ..errors import printable
from .tables import open_console

RESULTS, CACHED, INFERRED = 24, 70, 150
"""The budget of so many results, warm: ns above an empty program, with the verdict kept, and at a row."""
_IN_C = ("c-", "c-alone-")


def print_table(case: Case, bench: EventBench) -> None:
    """A table per cache state, and how the compiled spec compares with C and with the budget."""
    console = open_console()
    results, network = len(case.bound(case.spec.at).names), case.network
    drawn = ", random weights" if case.drawn else ""
    for cache in ("warm", "cold"):
        some = [row for row in bench.rows if row.cache == cache and row.rounds]
        if some:
            what = (
                f"spec {case.spec.name}: {results} results, network {printable(network.name)} ({network.architecture}{drawn})"
            )
            click.echo(f"{what}, {cache} caches: ns per event")
            console.print(_table(some, bench.rows))
            click.echo()
    for line in _comparisons(bench.rows, results):
        click.echo(line)
    for name, reason in bench.absent.items():
        click.echo(f"no row {name}: {reason}")


def _table(some: list[EventRow], rows: list[EventRow]) -> Table:
    table = Table("row", "minimum", "median", "above empty", "x empty", "exact", "what", box=None, pad_edge=False)
    for column in table.columns[1:6]:
        column.justify = "right"
    for row in some:
        extra, base = above(row, rows), row_of(rows, row.base, row.cache)
        ratio = "" if base is None else f"{row.ns_min / base.ns_min:.2f}"
        exact = "" if row.exact is None else "yes" if row.exact else "NO"
        table.add_row(
            row.name,
            f"{row.ns_min:,.0f}",
            f"{row.ns_median:,.0f}",
            "" if extra is None else f"{extra:,.0f}",
            ratio,
            exact,
            row.told,
        )
    return table


def _comparisons(rows: list[EventRow], results: int) -> Iterator[str]:
    for name, budget, what in (
        ("cached", CACHED, "verdict kept"),
        ("infer:no-body", INFERRED, "inference, without the network"),
    ):
        row = row_of(rows, name)
        extra = above(row, rows) if row else None
        if extra is not None and results == RESULTS:
            met = "met" if extra <= budget else "NOT met"
            yield f"{what}: {extra:.0f} ns above empty; the budget for {RESULTS} results is {budget}: {met}"
    for name in ("cached", "infer"):
        row = row_of(rows, name)
        others = [row_of(rows, prefix + name) for prefix in _IN_C]
        told = [f"{row.ns_min / other.ns_min:.2f} of {other.name}" for other in others if row and other]
        if told:
            yield f"{name}: {' and '.join(told)}"
