"""``ebpfnn train``: trains a network or trees from data."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from ..bodies import modelfile
from ..errors import ModelError, printable
from ..training import DATASETS, INTERRUPTED, Distortion, Options, Precision, Teaching, train
from .group import INTERRUPTED as STOPPED
from .messages import complain
from .plugin_option import available, plugin_option
from .shape_option import PREPARE, ShapeType, TilesType

_Chosen = TypeVar("_Chosen", Options, Precision, Distortion)
_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(1, 100_000)
_BITS = click.IntRange(2, 8)
_SHARE = click.FloatRange(0, 1)
_REACH = click.FloatRange(0, 1, max_open=True)


@click.command("train")
@click.option("--dataset", type=click.Choice(DATASETS), help="Dataset to download. [default: MNIST, unless --data is given]")
@click.option("--data", type=_PATH, help="Local data: idx files, .npz, a table, or one folder of images per label.")
@click.option(
    "--label", metavar="COLUMN", help="Column of a table with the labels. [default: label, class or target, else the last]"
)
@click.option("--ignore", metavar="COLUMN,...", help="Columns of a table not to learn from.")
@click.option(
    "--split-by",
    metavar="COLUMN",
    help="Keep rows with the same value on the same side of the split; `none` splits rows. [default: group, if there is one]",
)
@click.option("--columns", metavar="COLUMN=ENCODER,...", help="Encoders of columns, such as dst_port=bins:16,len=log2.")
@click.option(
    "--encode",
    metavar="ENCODER",
    help="Encoder of all other columns: bins, log2, linear, thermometer, or a plugin's. [default: bins]",
)
@click.option(
    "--spec", metavar="NAME|FILE", help="Spec of the rows of a table that does not have its own, such as a .csv file."
)
@click.option("--class-weights", metavar="WEIGHTS", help="Weight of each class in the loss: balanced, or CLASS=WEIGHT,...")
@click.option("--prepare", metavar="KIND", help=PREPARE)
@click.option("--input-shape", type=ShapeType(), metavar="28x28", help="Shape of a sample. [default: by the data]")
@click.option(
    "--arch",
    "architecture",
    help="Architecture, such as conv8x3-pool2-conv16x3-pool2-64-10, table32-10 (docs/tables.md), or in-32-2 for any number of "
    "inputs; tree:8, forest:16x8 (16 trees), or boost:32x4 (32 rounds) for trees, by their depth. [default: 32 hidden]",
)
@click.option(
    "--tiles", type=TilesType(), metavar="2x4", help="Rows x columns of an image that select a row of a table together."
)
@click.option(
    "--interactions",
    type=click.IntRange(1, 8),
    help="Number of inputs that act together in a table; 1 is linear. [default: 2]",
)
@click.option("--leaf-rows", type=_COUNT, help="Fewest samples in a leaf of a tree. [default: 1, of boosted trees 20]")
@click.option("--module", metavar="FILE.py:FUNCTION", help="Python function that returns an nn.Module, instead of --arch.")
@click.option("--slope", type=_SHARE, default=0.125, show_default=True, help="Slope of the LeakyReLU; 0 is ReLU.")
@click.option("--dropout", type=_REACH, default=0.0, help="Dropout rate of dense layers.")
@click.option("--epochs", type=_COUNT, help="[default: 30, more for a small table]")
@click.option("--batch-size", type=_COUNT, default=128, show_default=True)
@click.option("--optimizer", type=click.Choice(["adam", "adamw", "sgd"]), default="adam", show_default=True)
@click.option("--schedule", type=click.Choice(["cosine", "onecycle", "constant"]), default="cosine", show_default=True)
@click.option("--learning-rate", type=click.FloatRange(0, 10, min_open=True), help="[default: 0.003, of boosted trees 0.3]")
@click.option("--weight-decay", type=click.FloatRange(0, 1), default=0.0)
@click.option("--no-distortion", is_flag=True, help="Do not distort the images.")
@click.option("--rotation", type=click.FloatRange(0, 180), default=8.0, show_default=True, help="Largest rotation in degrees.")
@click.option("--shift", type=click.FloatRange(0, 100), default=1.2, show_default=True, help="Largest shift in pixels.")
@click.option("--scale", type=_REACH, default=0.08, show_default=True, help="Largest relative change of size.")
@click.option("--shear", type=_REACH, default=0.08, show_default=True)
@click.option("--mirror", is_flag=True, help="Mirror half of the images.")
@click.option(
    "--views",
    type=click.IntRange(0, 10_000),
    default=0,
    help="Number of distorted copies to reuse; 0 draws new ones every epoch.",
)
@click.option("--cache", type=_PATH, help="Directory to cache the distorted copies in.")
@click.option("--teacher", type=_PATH, metavar="FILE", help="Network (.float.safetensors) to distill from.")
@click.option(
    "--temperature", type=click.FloatRange(0.1, 100), default=1.0, show_default=True, help="Distillation temperature."
)
@click.option("--teacher-share", type=_SHARE, default=0.9, show_default=True, help="Weight of the teacher in the loss.")
@click.option("--bits", "input_bits", type=click.Choice(["8", "4", "2", "1"]), default="8", help="Bits per input value.")
@click.option(
    "--threshold",
    "thresholds",
    type=click.IntRange(1, 255),
    multiple=True,
    help="Lowest pixel value of a level; give 2^bits - 1 of them.",
)
@click.option("--packed", is_flag=True, help="Samples arrive packed.")
@click.option("--bit-order", type=click.Choice(["big", "little"]), default="big", help="Order of packed values in a byte.")
@click.option("--aware", is_flag=True, help="Quantization-aware training; see --hidden-bits and --weight-bits.")
@click.option("--hidden-bits", type=_BITS, default=8, help="Bits per activation between layers.")
@click.option("--weight-bits", type=_BITS, default=8, help="Bits per weight; 2 means -1, 0 and 1.")
@click.option(
    "--trim-idle",
    "idle",
    type=_SHARE,
    help="Drop inputs, or groups of a table, that are above 0 in at most this share of the samples.",
)
@click.option("--shared-steps", is_flag=True, help="Use one weight scale per hidden layer.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option(
    "--threads", type=click.IntRange(0, 1024), default=0, help="Number of threads; 0 lets PyTorch or scikit-learn choose."
)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto (a GPU if there is one).")
@click.option("--resume", is_flag=True, help="Continue an interrupted run of the same command.")
@click.option("--name", help="Name of the network. [default: that of the data]")
@click.option("--output", type=_PATH, help="Output file. [default: NAME.safetensors]")
@plugin_option
def command(
    no_distortion: bool,
    teacher: Path | None,
    temperature: float,
    teacher_share: float,
    input_bits: str,
    ignore: str | None,
    **given: Any,
) -> None:
    """Train a network, quantize it, and save the quantized and the floating-point form; or train trees.

    5,000 training samples are held out to choose the best epoch (a twelfth of them if there are fewer than 60,000). Ctrl-C
    saves the best epoch so far and a checkpoint for --resume, and exits with status 130. Use torchrun to train with several
    processes.

    Trees are trained by scikit-learn. Of the held-out samples, their accuracy alone is reported.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if given.keys() >= {"architecture", "module"}:
        context = click.get_current_context()
        raise click.UsageError("--arch and --module: the module is the architecture; leave one out", context)
    try:
        options = _chosen(
            Options,
            {
                **given,
                "output": given.get("output", Path()),
                "ignore": tuple(ignore.split(",")) if ignore else (),
                "precision": _chosen(Precision, {**given, "input_bits": int(input_bits)}),
                "distortion": None if no_distortion else _chosen(Distortion, given),
                "teaching": Teaching(teacher, temperature, teacher_share) if teacher else None,
            },
        )
    except ModelError as error:  # options that contradict each other
        raise click.UsageError(str(error)) from error
    if "output" not in given:
        options = replace(options, output=Path(options.name + modelfile.SUFFIX))
    path = train(options, available(), complain)
    if os.environ.get("RANK", "0") == "0":  # the other processes of torchrun did the same
        _report(path)


def _report(path: Path) -> None:
    """Prints how samples are made, and the card. Ends the verb with the status of an interruption if there was one."""
    network = modelfile.load(path, available())
    card = network.card
    click.echo(printable(str(path)))
    if "columns" not in card:  # which say as much
        click.echo(f"  preparation: {printable(available().describe(network.input.preparation))}")
    for key, value in card.items():
        click.echo(f"  {key}: {printable(value)}")
    if INTERRUPTED in card:
        again = "run the same command with --resume to continue"
        click.get_current_context().exit(complain(f"interrupted {card[INTERRUPTED]}; {again}", STOPPED))


def _chosen(kind: type[_Chosen], given: dict[str, Any]) -> _Chosen:
    """A ``kind`` from the options that have the names of its fields. Options that were not given keep their defaults."""
    return kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})
