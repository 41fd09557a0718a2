"""``ebpfnn swap``: another network in the place of one that is loaded."""

from __future__ import annotations

import click

from ..network import modelfile
from .complete import instance_or_network
from .only import named_or_only
from .plugin_option import available, plugin_option


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[INSTANCE] NAME|FILE", shell_complete=instance_or_network)
@click.option("--quiet", is_flag=True, help="Print nothing on success.")
@plugin_option
def command(words: tuple[str, ...], quiet: bool) -> None:
    """Replace the network of INSTANCE atomically.

    The new network must take the same input and have the same number of labels. Some samples are inferred and compared with
    the reference; if that fails, the previous network is restored.
    """
    if len(words) > 2:
        raise click.UsageError("give INSTANCE and NAME|FILE, no more", click.get_current_context())
    *name, model = words
    path = modelfile.resolve(model)
    network = modelfile.load(path)
    instance = named_or_only(name[0] if name else None)
    proof = instance.swap(network, file=path, plugins=available())
    if not quiet:
        click.echo(f"{instance.name}: {network.name} ({network.architecture}) is now in place; checked {proof}")
