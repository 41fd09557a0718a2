"""``ebpfnn import``: reads a network from the files of another program."""

from __future__ import annotations

from pathlib import Path

import click

from ..bodies import modelfile
from ..errors import printable


@click.command("import")
@click.option(
    "--raw", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Directory written by `ebpfnn export --raw`."
)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", required=True, help="Output file.")
def command(raw: Path, output: Path) -> None:
    """Read a network from plain files and save it as a single file."""
    from ..exporters.raw import load

    network = load(raw)
    modelfile.save(network, output)
    click.echo(f"{printable(str(output))}: {printable(network.name)}, {network.architecture}")
