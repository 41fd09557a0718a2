"""``ebpfnn plugins``: every trigger and input, where it comes from, and whether this kernel can run it."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ..plugin import Plugins, why_not
from ..plugin.registry import Offer
from .group import complain


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """List triggers and inputs, and where they come from."""
    plugins = Plugins.installed()
    rows = _rows(plugins)
    if as_json:
        click.echo(json.dumps({"plugins": rows, "warnings": plugins.warnings}, indent=2))
        return
    _print_table(rows)
    for warning in plugins.warnings:
        complain(f"warning: {warning}")


def _rows(plugins: Plugins) -> list[dict[str, str | None]]:
    triggers = [_row("trigger", offer, why_not(offer.item)) for offer in plugins.offered_triggers.offers]
    return triggers + [_row("input", offer, None) for offer in plugins.offered_inputs.offers]


def _row(kind: str, offer: Offer[Any], reason: str | None) -> dict[str, str | None]:
    """``reason`` tells why this kernel cannot run it, None where it can."""
    return {
        "kind": kind,
        "name": offer.item.name,
        "summary": offer.item.summary,
        "plugin": offer.plugin,
        "distribution": offer.distribution,
        "reason": reason,
    }


def _print_table(rows: list[dict[str, str | None]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("kind", "name", "from", "usable", "what it does"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        usable = "yes" if row["reason"] is None else f"no: {row['reason']}"
        cells = (row["kind"], row["name"], row["distribution"], usable, row["summary"])
        table.add_row(*(Text(cell or "") for cell in cells))
    # A pipe has no width: whoever reads it wants one row a line.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)
