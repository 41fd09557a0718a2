"""``ebpfnn swap``: another network in the place of one that is loaded."""

from __future__ import annotations

import click

from .. import modelfile
from ..instance import Instance
from .plugin_option import available, plugin_option


@click.command()
@click.argument("name", metavar="INSTANCE")
@click.argument("model", metavar="NAME|FILE")
@click.option("--quiet", is_flag=True, help="Say nothing where all goes well.")
@plugin_option
def command(name: str, model: str, quiet: bool) -> None:
    """Have another network answer in INSTANCE, without a moment in which none or both do.

    It must take the same samples and give as many scores. At the end some samples are inferred and compared with the
    reference; where one differs, the former network is back in place.
    """
    path = modelfile.resolve(model)
    network = modelfile.load(path)
    proof = Instance.open(name).swap(network, file=path, plugins=available())
    if not quiet:
        click.echo(f"{name}: {network.name} ({network.architecture}) answers now; proved {proof}")
