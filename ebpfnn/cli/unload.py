"""``ebpfnn unload``: removes networks from the kernel."""

from __future__ import annotations

import click

from ..errors import Error
from ..instance import Instance
from .complete import instances
from .messages import complain
from .only import named_or_only
from .trail import told


@click.command()
@click.argument("names", nargs=-1, metavar="[INSTANCE]...", shell_complete=instances)
@click.option("--all", "everything", is_flag=True, help="Unload every instance.")
@click.option("--quiet", is_flag=True, help="Print nothing on success.")
@click.pass_context
def command(context: click.Context, names: tuple[str, ...], everything: bool, quiet: bool) -> None:
    """Detach networks loaded by `ebpfnn load` and free their memory."""
    if names and everything:
        raise click.UsageError("give names of instances or --all, not both", context)
    failures = 0
    for instance in Instance.all() if everything else [named_or_only(name) for name in dict.fromkeys(names or (None,))]:
        try:
            instance.unload()
        except Error as error:  # an error does not affect the others
            failures += complain(str(error))
            continue
        told("unload", instance.name)
        if not quiet:
            click.echo(f"{instance.name}: unloaded")
    context.exit(1 if failures else 0)
