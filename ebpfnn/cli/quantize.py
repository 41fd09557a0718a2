"""``ebpfnn quantize``: quantizes a trained network from a PyTorch or ONNX file."""

from __future__ import annotations

import re
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from .. import datasets
from ..bodies import modelfile
from ..datasets import mnist
from ..datasets.rows import has_rows
from ..network import QuantizedNetwork, reference
from ..network.layers import Shape, describe
from ..network.model import ANOMALY, LABEL, VECTOR
from ..network.preparation import Preparation, usual
from ..plugin import Wanted
from ..plugin.preparing import chosen, learned
from ..quantize.floats import Network
from ..quantize.quantization import quantize
from ..quantize.tabular import Tabular
from .forecast_text import for_option
from .messages import complain
from .plugin_option import available, plugin_option
from .quantize_forecast import tell_forecast
from .quantize_report import Calibration, agreement, print_report
from .quantize_rows import quantize_rows, rows_of
from .quantize_save import save, with_bits
from .quantize_trees import quantize_trees
from .shape_option import PREPARE, ShapeType

if TYPE_CHECKING:
    from ..importers import ImportOptions

_PATH = click.Path(path_type=Path)
_BITS = click.IntRange(2, 8)
_DIGIT = (28, 28)
_MOST = 2_000
"""The maximum number of calibration samples. More do not improve the result."""


@click.command("quantize")
@click.argument("file", type=_PATH)
@click.option("--arch", "architecture", help="Architecture of a state dict, such as 784-32-10.")
@click.option(
    "--slope", type=click.FloatRange(0, 1), default=0.0, help="Slope of the LeakyReLU with --arch; 0 (the default) is ReLU."
)
@click.option(
    "--input-shape",
    type=ShapeType(),
    metavar="28x28",
    help="Shape of a sample: ROWSxCOLUMNS, CHANNELSxROWSxCOLUMNS, or VALUES.",
)
@click.option("--prepare", metavar="KIND", default="", help=PREPARE.replace("data", "shape"))
@click.option("--mean", default="0", help="The network's input is (pixel / 255 - MEAN) / STD; one number or R,G,B.")
@click.option("--std", default="1")
@click.option("--bits", type=click.Choice(["8", "4", "2", "1"]), default="8", help="Bits per input value.")
@click.option(
    "--threshold",
    "thresholds",
    type=click.IntRange(1, 255),
    multiple=True,
    help="Lowest pixel value of a level; give 2^bits - 1 of them.",
)
@click.option("--packed", is_flag=True, help="Samples arrive packed.")
@click.option("--bit-order", type=click.Choice(["big", "little"]), default="big", help="Order of packed values in a byte.")
@click.option("--hidden-bits", type=_BITS, default=8, help="Bits per activation between layers.")
@click.option("--weight-bits", type=_BITS, default=8, help="Bits per weight; 2 means -1, 0 and 1.")
@click.option(
    "--column-bytes", type=click.IntRange(1, 16), default=2, help="Bytes per column of a table. [default: 2]", metavar="N"
)
@click.option(
    "--calibration", metavar="DATA", type=_PATH, help="Calibration samples: idx files, .npz, folders of images, or a table."
)
@click.option("--labels", metavar="A,B,C", help="Names of the labels. [default: 0,1,2,...]")
@click.option(
    "--result",
    type=click.Choice([ANOMALY, VECTOR]),
    help="anomaly: the error of a network that reconstructs its input. vector: its outputs. [default: what the file says]",
)
@click.option("--name", help="Name of the network. [default: that of the file]")
@click.option("--output", type=_PATH, help="Output file. [default: NAME.safetensors]")
@for_option
@plugin_option
def command(
    file: Path,
    calibration: Path | None,
    output: Path | None,
    hidden_bits: int,
    weight_bits: int,
    kernel: str | None,
    **given: Any,
) -> None:
    """Quantize the network in FILE, and report first whether this kernel takes it, then the loss of accuracy.

    The report begins before calibration, with a draft of the network that has its shapes: loaded, run and unloaded again if
    this process may load it, else estimated. What it takes, and what refuses it, hardly depends on the samples.

    FILE is .onnx (floating point, quantized with QuantizeLinear, or trees), .pt2 (torch.export.save), or a state dict (.pt,
    .pth, .safetensors) with --arch. Nothing in it is executed.
    """
    from ..importers import Ensemble, read

    plugins = available()
    preparation = chosen(given.pop("prepare"), plugins)
    options = replace(_options(given, calibration), prepared=preparation, rows=rows_of(calibration))
    options = replace(options, tabular=calibration is not None and has_rows(calibration))
    network = read(file, options)
    if isinstance(network, Ensemble):
        _refuse_for_trees(given_prepare=preparation is not None, bits=(hidden_bits, weight_bits), options=options)
        tell_forecast(network.forest, plugins, kernel)
        quantize_trees(network, calibration, _output(output, network.forest.name, file), plugins)
        return
    if isinstance(network, Tabular):
        tell_forecast(with_bits(network.network, hidden_bits, weight_bits), plugins, kernel)
        output = _output(output, network.network.name, file)
        quantize_rows(network, calibration, output, plugins, hidden_bits, weight_bits)
        return
    preparation = preparation or network.input.prepared or _learned(calibration, network.input.shape)
    network = replace(network, input=replace(network.input, prepared=preparation))
    wanted = plugins.wanted(network.input)
    output = _output(output, network.name, file)
    if isinstance(network, QuantizedNetwork):
        _refuse_bits(hidden_bits, weight_bits)
        tell_forecast(network, plugins, kernel)
        samples = _calibration(calibration, network, wanted)
        floats, integers = None, replace(network, density=reference.density(network, samples.samples))
    else:
        floats = with_bits(network, hidden_bits, weight_bits)
        tell_forecast(floats, plugins, kernel)
        samples = _calibration(calibration, network, wanted)
        integers = quantize(floats, samples.samples)
    integers = replace(integers, card={**integers.card, "calibration": samples.name})
    save(integers, floats, output)
    print_report(integers, samples, output, agreement(integers, floats, samples))


def _output(given: Path | None, name: str, file: Path) -> Path:
    output = given or Path(name + modelfile.SUFFIX)
    if output.exists() and output.samefile(file):
        raise click.UsageError(f"output file '{output}' is also the input file; give another --output")
    return output


def _options(given: dict[str, Any], calibration: Path | None) -> ImportOptions:
    """The options. If no labels are given, folders of images give the names of the classes."""
    from ..importers import ImportOptions

    named = given.pop("labels")
    labels = tuple(named.split(",")) if named else None
    shape, mean, std = given.pop("input_shape"), *(_numbers(given.pop(name), name) for name in ("mean", "std"))
    if labels is None and calibration is not None:
        labels = datasets.class_names(calibration, "train") or None
    bits = int(given.pop("bits"))
    taken = shape or _implied(given["architecture"])
    return ImportOptions(**given, bits=bits, labels=labels, shape=taken, mean=mean, std=std)


def _implied(architecture: str | None) -> Shape | None:
    """The shape of a sample, if the architecture begins with its size: flat, or an image if it is as large as MNIST's."""
    size = (architecture or "").split("-")[0]
    if not re.fullmatch("[1-9][0-9]{0,6}", size):
        return None
    return _DIGIT if int(size) == prod(_DIGIT) else (int(size),)


def _numbers(text: str, name: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is neither a number nor a list such as 0.1,0.2,0.3", param_hint=f"--{name}"
        ) from error


def _learned(calibration: Path | None, shape: Shape) -> Preparation:
    """A preparation that fits the calibration samples if they are arrays, or the usual one for the shape if they are images."""
    path, part = calibration or mnist.BUNDLED, "train" if calibration else "test"
    if datasets.class_names(path, part):
        return usual(shape)
    arrays = datasets.read_samples(path, part)
    return learned(arrays.reshape(-1, *shape) if arrays[0].size == prod(shape) else arrays, shape)


def _calibration(path: Path | None, network: Network | QuantizedNetwork, wanted: Wanted) -> Calibration:
    shape = network.input.shape
    if path is None:
        if network.input.size != 28 * 28:
            fact = f"no --calibration: samples are {describe(shape)}, and the bundled digits are 28x28"
            raise click.UsageError(f"{fact}; give idx files, an .npz file, or folders of images")
        complain("no --calibration given; using the bundled digits")
    data, part = path or mnist.BUNDLED, "train" if path else "test"
    known = network.result == LABEL and datasets.has_labels(data, part)
    if known and path is None:
        known = network.labels == tuple("0123456789")
    if known:
        samples, labels = datasets.read(data, part, wanted.one, network.labels)
        datasets.check_labels(labels, len(network.labels), data)
    else:
        samples, labels = datasets.read_samples(data, part, wanted.one), None
    count = min(len(samples), _MOST)
    some = np.arange(count) * len(samples) // count
    name = f"{count} samples of {path.name}" if path else f"the {count} bundled digits"
    return Calibration(samples[some], None if labels is None else labels[some], name)


def _refuse_bits(*bits: int) -> None:
    if any(each != 8 for each in bits):
        raise click.UsageError("the file is quantized already; --hidden-bits and --weight-bits are for networks in floats")


def _refuse_for_trees(*, given_prepare: bool, bits: tuple[int, ...], options: ImportOptions) -> None:
    scaled = (options.mean, options.std) != ((0.0,), (1.0,))
    if given_prepare or scaled or any(each != 8 for each in bits) or options.column_bytes != 2:
        fact = "the file has trees, whose thresholds are the bounds of columns"
        raise click.UsageError(
            f"{fact}; --prepare, --mean, --std, --hidden-bits, --weight-bits and --column-bytes are for networks"
        )
