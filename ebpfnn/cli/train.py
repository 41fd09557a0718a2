"""``ebpfnn train``: a new network from data."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import modelfile
from ..training import DATASETS, INTERRUPTED, Distortion, Options, Precision, Teaching, train
from .group import INTERRUPTED as STOPPED
from .group import complain, printable

_Chosen = TypeVar("_Chosen", Options, Precision, Distortion)
_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(1, 100_000)
_BITS = click.IntRange(2, 8)
_SHARE = click.FloatRange(0, 1)
_REACH = click.FloatRange(0, 1, max_open=True)


@click.command("train")
@click.option("--dataset", type=click.Choice(DATASETS), help="What to download; MNIST without --data.")
@click.option("--data", type=_PATH, help="Data that is there already: idx files, .npz, or one folder of images a class.")
@click.option("--arch", "architecture", help="784-32-10 without it; or conv8x3-pool2-conv16x3-pool2-64-10.")
@click.option("--module", metavar="FILE.py:FUNCTION", help="A function of yours that returns an nn.Module; instead of --arch.")
@click.option("--slope", type=_SHARE, default=0.125, show_default=True, help="The LeakyReLU's; 0 is ReLU.")
@click.option("--dropout", type=_REACH, default=0.0, help="Share of a dense layer's inputs to drop.")
@click.option("--epochs", type=_COUNT, default=30, show_default=True)
@click.option("--batch-size", type=_COUNT, default=128, show_default=True)
@click.option("--optimizer", type=click.Choice(["adam", "adamw", "sgd"]), default="adam", show_default=True)
@click.option("--schedule", type=click.Choice(["cosine", "onecycle", "constant"]), default="cosine", show_default=True)
@click.option("--learning-rate", type=click.FloatRange(0, 10, min_open=True), default=3e-3, show_default=True)
@click.option("--weight-decay", type=click.FloatRange(0, 1), default=0.0)
@click.option("--no-distortion", is_flag=True, help="Show images as they are.")
@click.option("--rotation", type=click.FloatRange(0, 180), default=8.0, show_default=True, help="Degrees, at most.")
@click.option("--shift", type=click.FloatRange(0, 100), default=1.2, show_default=True, help="Pixels, at most.")
@click.option("--scale", type=_REACH, default=0.08, show_default=True, help="Share of the size, at most.")
@click.option("--shear", type=_REACH, default=0.08, show_default=True)
@click.option("--mirror", is_flag=True, help="Show half of the images mirrored.")
@click.option("--views", type=click.IntRange(0, 10_000), default=0, help="Distorted copies to show in turn; 0: ever new ones.")
@click.option("--cache", type=_PATH, help="Directory that keeps the views for the next run.")
@click.option("--teacher", type=_PATH, metavar="FILE", help="A .float.safetensors to learn from, besides the labels.")
@click.option("--temperature", type=click.FloatRange(0.1, 100), default=1.0, show_default=True, help="Softens the teacher.")
@click.option("--teacher-share", type=_SHARE, default=0.9, show_default=True, help="Of the loss; the rest is the labels'.")
@click.option("--bits", "input_bits", type=click.Choice(["8", "4", "2", "1"]), default="8", help="Of an input value.")
@click.option("--threshold", "thresholds", type=click.IntRange(1, 255), multiple=True, help="Where levels begin; 2^bits - 1.")
@click.option("--packed", is_flag=True, help="Samples will arrive as packed levels.")
@click.option("--bit-order", type=click.Choice(["big", "little"]), default="big", help="Of packed levels in a byte.")
@click.option("--aware", is_flag=True, help="Train with the rounding of quantization; see --hidden-bits, --weight-bits.")
@click.option("--hidden-bits", type=_BITS, default=8, help="Of values between layers.")
@click.option("--weight-bits", type=_BITS, default=8, help="Of weights; 2 is -1, 0 and 1.")
@click.option("--trim-idle", "idle", type=_SHARE, help="Drop inputs above 0 in at most this share of the samples.")
@click.option("--shared-steps", is_flag=True, help="One weight step for all outputs of a hidden layer.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="Of PyTorch; 0: its own choice.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: a GPU where there is one.")
@click.option("--resume", is_flag=True, help="Go on where the same command was interrupted.")
@click.option("--name", help="What the network is called; as its data is without it.")
@click.option("--output", type=_PATH, help="File to write; NAME.safetensors without it.")
def command(
    no_distortion: bool, teacher: Path | None, temperature: float, teacher_share: float, input_bits: str, **given: Any
) -> None:
    """Train a network, quantize it, and save it in integers, its float form beside it.

    The epoch is chosen by 5,000 training samples that are held out; a twelfth of fewer than 60,000. Ctrl-C keeps the best
    epoch so far, and a checkpoint from which --resume goes on, and exits with 130. torchrun starts it in several processes.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if given.keys() >= {"architecture", "module"}:
        context = click.get_current_context()
        raise click.UsageError("--arch and --module: the module is the architecture; leave one out", context)
    options = _chosen(
        Options,
        {
            **given,
            "output": given.get("output", Path()),
            "precision": _chosen(Precision, {**given, "input_bits": int(input_bits)}),
            "distortion": None if no_distortion else _chosen(Distortion, given),
            "teaching": Teaching(teacher, temperature, teacher_share) if teacher else None,
        },
    )
    if "output" not in given:
        options = replace(options, output=Path(options.name + modelfile.SUFFIX))
    path = train(options)
    if os.environ.get("RANK", "0") == "0":  # torchrun's others did the same
        _report(path)


def _report(path: Path) -> None:
    """Prints the card; ends the verb with the status of an interruption where there was one."""
    card = modelfile.load(path).card
    click.echo(printable(str(path)))
    for key, value in card.items():
        click.echo(f"  {key}: {printable(value)}")
    if INTERRUPTED in card:
        again = "the same command with --resume trains the rest"
        click.get_current_context().exit(complain(f"interrupted {card[INTERRUPTED]}; {again}", STOPPED))


def _chosen(kind: type[_Chosen], given: dict[str, Any]) -> _Chosen:
    """A ``kind`` of what is called like its fields; what was not given is as it is by default."""
    return kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})
