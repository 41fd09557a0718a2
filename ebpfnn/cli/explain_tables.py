"""The output of ``ebpfnn explain``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ..errors import printable
from ..explain import Column, Explanation, Flip, told
from ..explain.levels import Number
from ..network.model import Model
from .report import shown
from .tables import print_table

_HEADS = ("column", "value", "typical", "carries", "flips below", "flips above")


def tell(model: Model, head: str, found: Explanation, typical: str) -> None:
    """Prints an explanation, under ``head``, beside what is ``typical``."""
    click.echo(printable(head))
    click.echo(_verdict(model, found))
    if found.path:
        click.echo("path: " + ", ".join(f"{each.column} {interval(each.low, each.high)}" for each in found.path))
    columns = list(told(found))
    if columns:
        print_table(_HEADS, map(_cells, columns))
    rest = len(found.columns) - len(columns)
    if rest:
        click.echo(f"carry nothing, and change nothing alone: {rest} of {len(found.columns)} columns")
    click.echo(f"typical is {printable(typical)}; with all columns so, the lead is {found.typical_lead:,}")
    if found.together:
        click.echo(f"it flips if these are typical: {printable(', '.join(found.together))}")


def interval(low: Number | None, high: Number | None) -> str:
    """Values from ``low`` to below ``high``. Of integers, the last one is told."""
    if low is None:
        return "any" if high is None else f"< {_number(high)}"
    if high is None:
        return f">= {_number(low)}"
    if isinstance(low, int) and isinstance(high, int):
        return f"{low:,}" if high - low == 1 else f"{low:,} to {high - 1:,}"
    return f"{_number(low)} to < {_number(high)}"


def _verdict(model: Model, found: Explanation) -> str:
    if not found.against:
        value = "" if model.unit is None else f", {shown(found.lead * model.unit)}"
        return f"{printable(found.label)}: {found.lead:,}{value}"
    over = f"{printable(found.label)} by {found.margin:,}"
    if found.lead != found.margin:
        over += f", over {printable(found.against)} by {found.lead:,}"
    calibration = model.calibration
    if calibration is None or found.label == calibration.spared:
        return over
    return f"{over}; it {'counts' if found.counts else 'does not count'}: from {calibration.margin:,} on"


def _cells(column: Column) -> Iterator[str]:
    yield column.name
    yield _number(column.value)
    yield interval(*column.typical)
    yield f"{column.carried:,}"
    yield _flip(column.below)
    yield _flip(column.above)


def _flip(flip: Flip | None) -> str:
    if flip is None:
        return "-"
    return f"{interval(flip.low, flip.high)}: {flip.label}{'' if flip.counts else ', too weak'}"


def _number(number: Number) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.6g}"
