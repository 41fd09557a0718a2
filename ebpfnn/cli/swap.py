"""``ebpfnn swap``: replaces the network of a loaded instance."""

from __future__ import annotations

from pathlib import Path

import click

from ..bodies import modelfile
from ..errors import ModelError
from ..instance import Store
from .complete import instance_or_network
from .only import named_or_only
from .plugin_option import available, plugin_option
from .trail import told


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[INSTANCE] NAME|FILE", shell_complete=instance_or_network)
@click.option("--quiet", is_flag=True, help="Print nothing on success.")
@plugin_option
def command(words: tuple[str, ...], quiet: bool) -> None:
    """Replace the network of INSTANCE atomically.

    The new network must take the same input and have the same number of labels. It may be a model of another kind, such as
    trees. Some samples are inferred and compared with
    the reference; if that fails, the previous network is restored.
    """
    if len(words) > 2:
        raise click.UsageError("too many arguments; give at most INSTANCE and NAME|FILE", click.get_current_context())
    *name, model = words
    path = _file(model, alone=not name)
    plugins = available()
    network = modelfile.load(path, plugins)
    instance = named_or_only(name[0] if name else None)
    proof = instance.swap(network, file=path, plugins=plugins)
    told("swap", instance.name, network=network.name, file=str(path), digest=instance.about().digest)
    if not quiet:
        click.echo(f"{instance.name}: {network.name} ({network.architecture}) is now in place; checked {proof}")


def _file(model: str, *, alone: bool) -> Path:
    """The file of ``model``. If the only argument is an instance and not a network, raises that the network is missing."""
    try:
        return modelfile.resolve(model)
    except ModelError:
        if not alone or model not in Store().names():
            raise
        fact = f"no network given for instance '{model}'"
        raise click.UsageError(f"{fact}; use: ebpfnn swap {model} NAME|FILE", click.get_current_context()) from None
