"""``ebpfnn enforce``: lets a guard act."""

from __future__ import annotations

import click

from ..instance.enforcing import check_deadline, enforce_for, targets_of
from .brakes import mode
from .collect import Duration
from .complete import instances
from .only import named_or_only
from .trail import told


@click.command()
@click.argument("name", metavar="[INSTANCE]", required=False, shell_complete=instances)
@click.option("--for", "seconds", type=Duration(), metavar="DURATION", help="Act no longer than this; then audit.")
def command(name: str | None, seconds: float | None) -> None:
    """Let a guard act on events, which until now it only counted.

    With --for, BPF itself checks the time: the guard is in audit again even if nobody is there to stop it. At an interface
    with a default route, --for is required.
    """
    instance = named_or_only(name)
    with instance.brakes() as brakes:
        check_deadline(targets_of(instance.about().events), seconds)
        enforce_for(brakes, seconds)
        told("enforce", instance.name, seconds=seconds)
        click.echo(f"{instance.name}: {mode(brakes)}")
