"""``ebpfnn import``: a network from the files of another program."""

from __future__ import annotations

from pathlib import Path

import click

from .. import modelfile
from .group import printable


@click.command("import")
@click.option("--raw", type=click.Path(path_type=Path), metavar="DIR", required=True, help="What `ebpfnn export --raw` wrote.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", required=True, help="The network's file.")
def command(raw: Path, output: Path) -> None:
    """Read a network from plain files, changed or not, and save it as one file."""
    from ..exporters.raw import load

    network = load(raw)
    modelfile.save(network, output)
    click.echo(f"{printable(str(output))}: {printable(network.name)}, {network.architecture}")
