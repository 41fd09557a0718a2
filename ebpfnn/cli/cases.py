"""``ebpfnn cases``: the latest verdicts at which keys became due, of a guard."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ..session.cases import MOST, Case
from .complete import instances
from .only import named_or_only
from .tables import print_table
from .watch_tables import clock

_HEADS = ("case", "time", "reason", "label", "margin", "key", "number", "swaps")


@click.command()
@click.argument("name", metavar="[INSTANCE]", required=False, shell_complete=instances)
@click.option("--last", type=click.IntRange(1, MOST), default=20, show_default=True, metavar="N", help="List at most N.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, with the columns of the row.")
def command(name: str | None, last: int, as_json: bool) -> None:
    """List the latest cases of the guard INSTANCE: verdicts at which keys became due, the latest first.

    The reason is what became of the event: acted, or audited, paused or capped, by the brake that held. Number is that of the
    event, counted for the key. Swaps is the number of swaps before the network that gave the verdict. `ebpfnn explain` shows
    which columns of a case spoke.
    """
    instance = named_or_only(name)
    found = instance.cases(last)
    if as_json:
        for case in found:
            click.echo(json.dumps(asdict(case)))
    elif found:
        print_table(_HEADS, (_cells(place, case) for place, case in enumerate(found, 1)))
    else:
        click.echo(f"{instance.name}: no cases yet")


def _cells(place: int, case: Case) -> tuple[object, ...]:
    margin = f"{case.margin:,}"
    return place, clock(case.time_ns), case.reason, case.label, margin, case.shown, case.number, case.swaps
