"""``ebpfnn plugins``: all that plugins offer, and whether it works here. ``plugins new`` creates a plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..errors import PluginError, printable
from ..plugin import Plugins, why_not
from ..plugin.registry import Offer
from ..plugin.skeleton import KINDS, write
from .messages import complain
from .plugin_option import available, plugin_option
from .tables import print_table
from .unknown import Verbs


@click.group(cls=Verbs, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@plugin_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List triggers, inputs, preparations, reducers, encoders and bodies (kinds of models), or create a new one."""
    if context.invoked_subcommand is None:
        _list(available(), as_json=as_json)


@command.command()
@click.argument("kind", type=click.Choice(KINDS), metavar="|".join(KINDS))
@click.argument("name")
def new(kind: str, name: str) -> None:
    """Create a plugin skeleton in the directory NAME, ready to build and install."""
    plugins = available()
    if name in plugins.registries[kind].names:
        raise PluginError(
            f"{kind} '{name}' exists already; choose another name: of two plugins with one name, neither can be used"
        )
    for path in write(kind, name, Path()):
        click.echo(printable(str(path)))


def _list(plugins: Plugins, *, as_json: bool) -> None:
    rows = _rows(plugins)
    if as_json:
        click.echo(json.dumps({"plugins": rows, "warnings": plugins.warnings}, indent=2))
        return
    _print_table(rows)
    for warning in plugins.warnings:
        complain(f"warning: {warning}")


def _rows(plugins: Plugins) -> list[dict[str, str | None]]:
    return [
        _row(kind, offer, why_not(offer.item) if kind == "trigger" else None)
        for kind, registry in plugins.registries.items()
        for offer in registry.offers
    ]


def _row(kind: str, offer: Offer[Any], reason: str | None) -> dict[str, str | None]:
    """``reason`` says why this kernel cannot run it, None if it can."""
    return {
        "kind": kind,
        "name": offer.item.name,
        "summary": offer.item.summary,
        "plugin": offer.plugin,
        "distribution": offer.distribution,
        "reason": reason,
    }


def _print_table(rows: list[dict[str, str | None]]) -> None:
    print_table(("kind", "name", "from", "usable", "what it does"), map(_cells, rows))


def _cells(row: dict[str, str | None]) -> tuple[str, ...]:
    reason = row["reason"]
    told = "; ".join(filter(None, (row["summary"], reason and f"unavailable: {reason}")))
    return str(row["kind"]), str(row["name"]), str(row["distribution"]), "no" if reason else "yes", told
