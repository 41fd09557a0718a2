"""Measurements as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import click
from rich.table import Table

from ..bench.plot import front, points
from ..bench.rows import Row, baseline, peer, share, times_faster
from ..errors import printable
from .tables import open_console

_FASTER = ("naive", "ort-iobinding")
"""The rows that others are compared with, as multiples."""
_EMPTY = "empty"
_UNITS = "ns per inference, minimum / median"
_Kind = tuple[str, str, int]
_Ways = dict[tuple[str, str], dict[_Kind, Row]]
"""By network and name: the rows of one way to compute, by what they run on."""
_Column = tuple[str, Callable[[Row], str]]
"""Its heading, and what is told of the first row of a way."""


def print_tables(rows: Sequence[Row]) -> None:
    """A table a network, a column for each kind of samples. Ratios are between minimum times over the first kind."""
    for network in dict.fromkeys(row.network for row in rows):
        some = [row for row in rows if row.network == network]
        click.echo(f"{printable(network)}: {_UNITS}; x NAME: speedup over that row; of NAME: share of its time")
        click.echo(_going_on(some[0]), nl=False)
        compared = [(f"x {name}", _faster(name, rows)) for name in _FASTER]
        _print(_ways(some), [("row", lambda row: row.name)], [*compared, *_told(rows), ("right", _right), *_SIZES])
        click.echo(_slow(some))


def print_front(rows: Sequence[Row], accuracy: Mapping[str, float]) -> None:
    """One table of all networks, the fastest first; ``accuracy`` is of each network over all of the data, 0..1.

    A star is at each row that no faster one in the kernel is as accurate as.
    """
    kept, of_front = [], {(row.network, row.name) for row in front(points(rows), accuracy)}
    for network in dict.fromkeys(row.network for row in rows):
        kept += [row for row in rows if row.network == network and (row.name != _EMPTY or network == rows[0].network)]
        click.echo(_going_on(next(row for row in rows if row.network == network)), nl=False)
    ways = dict(sorted(_ways(kept).items(), key=lambda way: next(iter(way[1].values())).ns_min))
    click.echo(f"{_UNITS}; of NAME: share of its time; *: no faster row in the kernel is as accurate")
    leading: list[_Column] = [
        ("network", lambda row: "" if row.name == _EMPTY else row.network),
        ("row", lambda row: row.name + ("*" if (row.network, row.name) in of_front else "")),
        ("takes", lambda row: row.takes),
        ("accuracy", lambda row: "" if row.name == _EMPTY else f"{accuracy[row.network]:.2%}"),
    ]
    _print(ways, leading, [*_told(rows), *_SIZES])
    click.echo(_slow(kept), nl=False)


def _print(ways: _Ways, leading: Sequence[_Column], trailing: Sequence[_Column]) -> None:
    kinds = list(dict.fromkeys(kind for rows in ways.values() for kind in rows))
    heads = [*(head for head, _ in leading), *map(_heading, kinds), *(head for head, _ in trailing)]
    table = Table(*heads, box=None, pad_edge=False)
    for column in table.columns[len(leading) :]:
        column.justify = "right"
    for rows in ways.values():
        first = next(iter(rows.values()))
        times = (_times(rows[kind]) if kind in rows else "" for kind in kinds)
        table.add_row(*(told(first) for _, told in leading), *times, *(told(first) for _, told in trailing))
    open_console().print(table)


def _ways(rows: Sequence[Row]) -> _Ways:
    found: _Ways = {}
    for row in rows:
        found.setdefault((row.network, row.name), {})[row.kind] = row
    return found


def _heading(kind: _Kind) -> str:
    given, cache, samples = kind
    return f"{given} {samples:,}" if cache == "warm" else f"{given}, {cache}"


def _times(row: Row) -> str:
    wrong = " NO" if row.exact is False else ""
    return f"{row.ns_min:,.0f} / {row.ns_median:,.0f}{wrong}"


def _faster(name: str, rows: Sequence[Row]) -> Callable[[Row], str]:
    def told(row: Row) -> str:
        ratio = times_faster(row, baseline(rows, name, row))
        return "" if ratio is None else f"{ratio:.2f}"

    return told


def _told(rows: Sequence[Row]) -> list[_Column]:
    name = peer(rows)

    def compared(row: Row) -> str:
        part = share(row, baseline(rows, name, row)) if name else None
        return "" if part is None else f"{part:.2f}"

    return [*([(f"of {name}", compared)] if name else []), ("exact", _exactness)]


def _exactness(row: Row) -> str:
    """Whether every score equals the reference's; for floats, how many labels do."""
    if row.exact is not None:
        return "yes" if row.exact else "NO"
    return "" if row.agreement is None else f"{row.agreement:.1%} of labels"


def _right(row: Row) -> str:
    return "" if row.accuracy is None else f"{row.accuracy:.2%}"


_SIZES: list[_Column] = [
    ("instructions", lambda row: f"{row.code.instructions:,}" if row.code else ""),
    ("verified", lambda row: f"{row.code.verified:,}" if row.code and row.code.verified else ""),
    ("tables KB", lambda row: f"{row.code.table_bytes / 1024:,.0f}" if row.code else ""),
    ("load ms", lambda row: f"{row.code.load_ms:,.0f}" if row.code else ""),
]
"""Of a compiled network."""


def _going_on(row: Row) -> str:
    """A line on a cascade, else nothing."""
    shares = ", ".join(f"{part:.1%}" for part in row.goes_on)
    return f"{printable(row.network)}: of the {row.input} samples, {shares} go on to the next network\n" if shares else ""


def _slow(rows: Sequence[Row]) -> str:
    """A line for each row that ran fewer samples than there were."""
    slow = {(row.network, row.name): row for row in rows if row.cache == "warm" and row.samples < row.given}
    told = (f"{printable(network)}, {name}: {row.samples:,} of {row.given:,}" for (network, name), row in slow.items())
    return "".join(f"{line} samples, since it is slow\n" for line in told)
