"""``ebpfnn audit``: lets a guard only count."""

from __future__ import annotations

import click

from .brakes import mode
from .complete import instances
from .only import named_or_only
from .trail import told


@click.command()
@click.argument("name", metavar="[INSTANCE]", required=False, shell_complete=instances)
def command(name: str | None) -> None:
    """Let a guard only count what it would do."""
    instance = named_or_only(name)
    with instance.brakes() as brakes:
        brakes.enforce(0)
        told("audit", instance.name)
        click.echo(f"{instance.name}: {mode(brakes)}")
