"""``ebpfnn export``: writes a network for other programs."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from ..errors import printable
from ..network import QuantizedNetwork, modelfile, reference
from .complete import networks
from .measured import HELP, read_measured
from .plugin_option import available, plugin_option

_ENOUGH = 0.999
"""The share of samples for which onnxruntime must give the same label. Its rounding differs, so not all need be the same."""


@click.command()
@click.argument("model", shell_complete=networks)
@click.option(
    "--raw", type=click.Path(path_type=Path), metavar="DIR", help="Write weights and biases as plain files, and model.json."
)
@click.option("--onnx", type=click.Path(path_type=Path), metavar="FILE", help="Write a QDQ model for onnxruntime.")
@click.option("--check", metavar="DATA", help=f"Compare labels with onnxruntime. {HELP}")
@plugin_option
@click.pass_context
def command(context: click.Context, model: str, raw: Path | None, onnx: Path | None, check: str | None) -> None:
    """Export MODEL, a bundled network or a file, for use by other programs.

    `ebpfnn import` reads the files written by --raw.
    """
    if raw is None and onnx is None:
        raise click.UsageError("give --raw DIR or --onnx FILE", context)
    if check is not None and onnx is None:
        raise click.UsageError("--check needs --onnx; give both", context)
    network = modelfile.load(modelfile.resolve(model))
    if raw is not None:
        from ..exporters import raw as plain

        plain.export(network, raw)
        click.echo(printable(str(raw)))
    if onnx is not None:
        from ..exporters import onnx as qdq

        qdq.export(network, onnx)
        click.echo(printable(str(onnx)))
        if check is not None:
            context.exit(_check(network, onnx, check))


def _check(network: QuantizedNetwork, path: Path, data: str) -> int:
    """Lists the samples for which onnxruntime gives another label. Returns 1 if there are too many."""
    from ..exporters.onnx_check import run

    measured = read_measured(data, network, available())
    theirs = run(path, measured.samples).argmax(axis=1)
    ours = reference.labels(network, measured.samples)
    different = np.flatnonzero(ours != theirs)
    for index in different:
        click.echo(f"sample {index}: {network.labels[ours[index]]} here, {network.labels[theirs[index]]} by onnxruntime")
    same = len(ours) - len(different)
    click.echo(f"onnxruntime gives the same label for {same:,} of {printable(measured.name)}")
    return 0 if same >= _ENOUGH * len(ours) else 1
