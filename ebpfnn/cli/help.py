"""``ebpfnn help``: prints the help of a verb, as ``--help`` does."""

from __future__ import annotations

import click

from .complete import verbs
from .unknown import no_verb


@click.command()
@click.argument("words", nargs=-1, metavar="[VERB]...", shell_complete=verbs)
@click.pass_context
def command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of VERB, or list the verbs."""
    shown = context.find_root()
    for word in words:
        group = shown.command
        found = group.get_command(shown, word) if isinstance(group, click.Group) else None
        if found is None:
            raise no_verb(word, shown)
        shown = click.Context(found, info_name=word, parent=shown)
    click.echo(shown.get_help())
