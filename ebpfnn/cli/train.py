"""``ebpfnn train``: a new network from MNIST."""

from __future__ import annotations

from pathlib import Path

import click

from .. import modelfile


@click.command("train")
@click.option("--arch", default="784-32-10", show_default=True, help="Widths of the layers, from pixels to classes.")
@click.option("--data", type=click.Path(path_type=Path), help="Directory with MNIST's idx files; downloaded without it.")
@click.option("--epochs", type=click.IntRange(1, 10_000), default=30, show_default=True)
@click.option("--batch-size", type=click.IntRange(1, 65_536), default=128, show_default=True)
@click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), default=3e-3, show_default=True)
@click.option("--slope", type=click.FloatRange(0, 1), default=0.125, show_default=True, help="LeakyReLU's; 0 is ReLU.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option("--name", default="mnist", show_default=True, help="What the network is called.")
@click.option("--output", type=click.Path(path_type=Path), help="File to write; NAME.safetensors without it.")
def command(
    arch: str,
    data: Path | None,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    slope: float,
    seed: int,
    name: str,
    output: Path | None,
) -> None:
    """Train a network on MNIST and save it in integers.

    Ctrl-C ends early and keeps the best epoch so far.
    """
    from ..training import Options, train

    output = output or Path(name + modelfile.SUFFIX)
    path = train(Options(output, arch, data, name, epochs, batch_size, learning_rate, slope, seed))
    click.echo(path)
    for key, value in modelfile.load(path).card.items():
        click.echo(f"  {key}: {value}")
