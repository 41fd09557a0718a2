"""``ebpfnn bench``: how long a network takes inside the kernel."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from .. import bench, mnist, modelfile
from ..errors import InputError
from ..network import QuantizedNetwork
from ..plugin import Plugins


@click.command()
@click.option("--model", metavar="NAME|FILE", default="mnist", show_default=True, help="A bundled network, or a file.")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="MNIST's idx files. [default: those bundled]")
@click.option("--images", type=click.IntRange(1), default=512, show_default=True, help="Distinct samples to rotate over.")
@click.option("--rounds", type=click.IntRange(1), default=12, show_default=True, help="Interleaved rounds over all of them.")
@click.option("--process", is_flag=True, help="Time a whole `ebpfnn infer` instead, with its memory.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of rows.")
def command(model: str, data: Path | None, images: int, rounds: int, process: bool, as_json: bool) -> None:
    """Time a network in the kernel, beside the plain triple loop.

    Sparse inputs are MNIST test digits, dense ones uniform in 1..255.
    """
    if process:
        _print_process(model, as_json)
        return
    network = modelfile.load(modelfile.resolve(model))
    inputs = [_sparse(network, data, images), bench.dense_inputs(network, images)]
    trigger = Plugins.installed().trigger("run")
    with click.progressbar(range(rounds), label="rounds", file=sys.stderr, hidden=not sys.stderr.isatty()) as turns:
        rows = bench.measure(network, trigger, inputs, turns)
    if as_json:
        click.echo(json.dumps([_record(row) for row in rows], indent=2))
    else:
        _print_table(rows)


def _print_process(model: str, as_json: bool) -> None:
    from ..bench_process import measure_process

    cost = measure_process(model)
    if as_json:
        click.echo(json.dumps(asdict(cost)))
    else:
        click.echo(f"ebpfnn infer, whole process: {cost.seconds_min:.2f} s at least, {cost.seconds_median:.2f} s in the median")
        click.echo(f"peak memory: {cost.peak_mib:.1f} MiB")


def _sparse(network: QuantizedNetwork, data: Path | None, count: int) -> bench.Inputs:
    samples, labels = mnist.read_test(data)
    if samples.shape[1:] != network.input_shape:
        raise InputError(f"digits of {samples.shape[1:]} values; '{network.name}' takes {network.input_shape}, give --data DIR")
    return bench.Inputs("sparse", samples[:count], labels[:count])


def _record(row: bench.Row) -> dict[str, object]:
    fields = ("name", "network", "input", "cache", "ns_min", "ns_median", "exact", "accuracy")
    return {name: getattr(row, name) for name in fields}


def _print_table(rows: list[bench.Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    baseline = {row.input: row.ns_min for row in rows if row.name == bench.BASELINE}
    table = Table("row", "input", "ns min", "ns median", "times faster", "exact", "accuracy", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        accuracy = "" if row.accuracy is None else f"{row.accuracy:.2%}"
        ratio = f"{baseline[row.input] / row.ns_min:.2f}" if row.input in baseline else ""
        cells = (
            row.name,
            row.input,
            f"{row.ns_min:,.0f}",
            f"{row.ns_median:,.0f}",
            ratio,
            "yes" if row.exact else "NO",
            accuracy,
        )
        table.add_row(*cells)
    Console().print(table)
