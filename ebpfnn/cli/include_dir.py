"""``ebpfnn include-dir``: the path of the headers for building a trigger's shell."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import NotSupported

DIRECTORY = Path(__file__).parents[1] / "data" / "include"


@click.command()
def command() -> None:
    """Print the include directory for building triggers: `clang -I$(ebpfnn include-dir)`.

    Neither kernel headers nor libbpf are needed.
    """
    if not (DIRECTORY / "ebpfnn" / "shell.h").exists():
        raise NotSupported(f"{DIRECTORY}: no headers in this checkout; run `make bpf`")
    click.echo(DIRECTORY)
