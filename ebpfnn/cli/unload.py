"""``ebpfnn unload``: networks out of the kernel."""

from __future__ import annotations

import click

from ..instance import Instance


@click.command()
@click.argument("names", nargs=-1, metavar="[INSTANCE]...")
@click.option("--all", "everything", is_flag=True, help="Unload every instance.")
@click.option("--quiet", is_flag=True, help="Say nothing where all goes well.")
@click.pass_context
def command(context: click.Context, names: tuple[str, ...], everything: bool, quiet: bool) -> None:
    """Detach networks that `ebpfnn load` left in the kernel, and free what they hold."""
    if bool(names) == everything:
        raise click.UsageError("give the names of instances, or --all", context)
    for instance in Instance.all() if everything else list(map(Instance.open, dict.fromkeys(names))):
        instance.unload()
        if not quiet:
            click.echo(f"{instance.name}: unloaded")
