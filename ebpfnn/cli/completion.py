"""``ebpfnn completion``: prints the script for completion in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    It completes verbs, options, networks, instances, triggers and network interfaces.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"this version of click does not know {shell}", context)
    click.echo(found(context.find_root().command, {}, "ebpfnn", "_EBPFNN_COMPLETE").source())
