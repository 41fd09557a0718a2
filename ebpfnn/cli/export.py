"""``ebpfnn export``: writes a network for other programs."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from ..errors import printable
from ..network import QuantizedNetwork, reference
from ..network.onnxkeys import SCORES
from .complete import networks
from .measured import HELP, read_measured
from .only_networks import load_network
from .plugin_option import available, plugin_option

_ENOUGH = 0.999
"""The share of samples for which onnxruntime must give the same label. Its rounding differs, so not all need be the same."""


@click.command()
@click.argument("model", shell_complete=networks)
@click.option(
    "--raw", type=click.Path(path_type=Path), metavar="DIR", help="Write weights and biases as plain files, and model.json."
)
@click.option("--onnx", type=click.Path(path_type=Path), metavar="FILE", help="Write a model for onnxruntime.")
@click.option("--check", metavar="DATA", help=f"Compare with onnxruntime. {HELP}")
@plugin_option
@click.pass_context
def command(context: click.Context, model: str, raw: Path | None, onnx: Path | None, check: str | None) -> None:
    """Export MODEL, a bundled network or a file, for use by other programs.

    `ebpfnn import` reads the files written by --raw. An ONNX model is in QDQ form. That of a network with tables, or of a
    cascade, is in integers, and gives the same scores.
    """
    if raw is None and onnx is None:
        raise click.UsageError("give --raw DIR or --onnx FILE", context)
    if check is not None and onnx is None:
        raise click.UsageError("--check needs --onnx; give both", context)
    network = load_network(model, "export", available())
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
    """Lists the samples for which onnxruntime gives another label. Returns 1 if there are too many.

    Of a network that is exported in integers, all scores are compared, and each must be the same.
    """
    from ..exporters.onnx import is_exact
    from ..exporters.onnx_check import run

    measured, exact = read_measured(data, network, available()), is_exact(network)
    found = run(path, measured.samples, SCORES) if exact else run(path, measured.samples)
    scores = reference.scores(network, measured.samples)
    ours, theirs = scores.argmax(axis=1), found.argmax(axis=1)
    different = (scores != found).any(axis=1) if exact else ours != theirs
    for index in np.flatnonzero(different):
        click.echo(f"sample {index}: {network.labels[ours[index]]} here, {network.labels[theirs[index]]} by onnxruntime")
    same = len(ours) - int(different.sum())
    click.echo(f"onnxruntime gives the same {'scores' if exact else 'label'} for {same:,} of {printable(measured.name)}")
    return 0 if same >= (1 if exact else _ENOUGH) * len(ours) else 1
