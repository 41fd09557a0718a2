"""``ebpfnn verdicts``: the latest verdict on each key of an instance that observes events."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ..session.verdicts import MOST
from .complete import instances
from .only import named_or_only
from .tables import print_table
from .watch_tables import OF_VERDICTS, verdict_cells


@click.command()
@click.argument("name", metavar="[INSTANCE]", required=False, shell_complete=instances)
@click.option("--count", type=click.IntRange(1, 1 << 22), default=MOST, show_default=True, metavar="N", help="List at most N.")
@click.option("--label", metavar="LABEL", help="Only verdicts of this label.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def command(name: str | None, count: int, label: str | None, as_json: bool) -> None:
    """List the latest verdict on each key of INSTANCE, the latest first.

    A key is what the spec of the network gives verdicts on, such as a connection or a process. A verdict stays until the key
    gets another one, or until the map has no room and it is the one that has not been used for longest. The number is that of
    the event at which the network ran, counted for the key. Swaps is the number of swaps before that network.
    """
    instance = named_or_only(name)
    if label is not None and label not in instance.about().labels:
        known = ", ".join(instance.about().labels)
        raise click.BadParameter(f"'{label}' is not a label of the network; it has {known}", param_hint="--label")
    found = instance.verdicts(count, label)
    if as_json:
        for verdict in found:
            click.echo(json.dumps(asdict(verdict)))
    elif found:
        print_table(OF_VERDICTS, map(verdict_cells, found))
    else:
        click.echo(f"{instance.name}: no verdicts yet")
