"""``ebpfnn pause``: stops a guard at once."""

from __future__ import annotations

import click

from .brakes import mode
from .complete import instances
from .only import named_or_only
from .trail import told


@click.command()
@click.argument("name", metavar="[INSTANCE]", required=False, shell_complete=instances)
def command(name: str | None) -> None:
    """Stop a guard from acting at once, until `ebpfnn resume`. This is one write to a map."""
    instance = named_or_only(name)
    with instance.brakes() as brakes:
        brakes.pause(True)
        told("pause", instance.name)
        click.echo(f"{instance.name}: {mode(brakes)}")
