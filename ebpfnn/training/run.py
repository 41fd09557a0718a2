"""A training run, from its options to the files that it writes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ..bodies import modelfile
from ..importers import from_module
from ..network.architecture import ANY_SIZE, has_tables
from ..network.inputformat import InputFormat
from ..plugin import Plugins
from ..quantize import floatfile
from ..quantize.floats import Network
from ..quantize.quantization import quantize
from ..quantize.trimming import share_steps, trim_idle
from . import checkpoint, tablerun
from .card import describe
from .data import Data, load
from .distributed import Team, team
from .fitting import fitted
from .model import build
from .options import Options
from .output import check_writable
from .preparing import COLUMNS, input_format
from .rounding import Rounding

CALIBRATION = 2_000
EPOCHS, MOST_EPOCHS = 30, 300
HIDDEN = 32
LEARNING_RATE = 3e-3
_STEPS = 2_000
"""The number of batches that a network needs to learn a table, even one with few rows."""
_REHEARSED = 16


def run(options: Options, plugins: Plugins, tell: Callable[[str], object]) -> Path:
    """Trains, quantizes, measures and saves; see :func:`ebpfnn.training.train`."""
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)  # dropout uses the global generator
    check_writable(options.output)
    with team(options.device) as mine:
        data = _loaded(options, plugins, mine, tell if mine.leads else str)
        options = _completed(options, data)
        epochs = tablerun.run(options, data, mine) if has_tables(options.architecture) else _run_dense(options, data, mine)
        if mine.leads and epochs == options.epochs:
            checkpoint.path_of(options).unlink(missing_ok=True)
        mine.wait()
    return options.output


def _run_dense(options: Options, data: Data, mine: Team) -> int:
    """A network of floats, which is quantized afterwards. Returns the number of epochs."""
    model = build(options, data.training.samples.shape[1:], len(data.names))
    network, epochs = _trained(model, data, options, mine)
    if mine.leads:
        _save(network, data, options, epochs)
    return epochs


def _loaded(options: Options, plugins: Plugins, mine: Team, tell: Callable[[str], object]) -> Data:
    """Loads the data. Several processes must not download at the same time."""
    if options.data:
        return load(options, plugins, tell)
    with mine.one_first():
        return load(options, plugins, tell)


def _completed(options: Options, data: Data) -> Options:
    """``options`` with the values that are chosen from the data."""
    shape, count = data.training.samples.shape[1:], len(data.training.samples)
    few = data.preparation.kind == COLUMNS and not options.epochs
    epochs = min(MOST_EPOCHS, math.ceil(_STEPS / math.ceil(count / options.batch_size))) if few else 0
    architecture = options.architecture or ("" if options.module else f"{ANY_SIZE}-{HIDDEN}-{len(data.names)}")
    first, dash, rest = architecture.partition("-")
    architecture = f"{math.prod(shape)}{dash}{rest}" if first == ANY_SIZE else architecture
    epochs, rate = options.epochs or max(EPOCHS, epochs), options.learning_rate or LEARNING_RATE
    return replace(options, epochs=epochs, learning_rate=rate, architecture=architecture)


def _rehearse(model: nn.Module, form: InputFormat, data: Data, options: Options) -> None:
    """Quantizes the untrained module, so that a module that cannot be quantized is refused before training."""
    network = _lightened(from_module(model, form, options.name, data.names), data, options)
    quantize(network, data.training.samples[:_REHEARSED])


def _lightened(network: Network, data: Data, options: Options) -> Network:
    """``network`` trimmed by :mod:`ebpfnn.quantize.trimming`, if requested."""
    if options.precision.idle is not None:
        network = trim_idle(network, data.training.samples, options.precision.idle)
    return share_steps(network) if options.precision.shared_steps else network


def _trained(model: nn.Module, data: Data, options: Options, mine: Team) -> tuple[Network, int]:
    """The trained float network, and the number of epochs."""
    shape = data.training.samples.shape[1:]
    form = input_format(options.precision, shape, data.preparation)
    _rehearse(model, form, data, options)
    rounding = Rounding(model, options.precision) if options.precision.aware else None
    epochs = fitted(model, form, data, options, mine)

    def to_network() -> Network:
        return replace(from_module(model, form, options.name, data.names), events=data.events)

    return (rounding.remove(to_network) if rounding else to_network()), epochs


def _save(network: Network, data: Data, options: Options, epochs: int) -> None:
    """Quantizes, measures and writes both forms."""
    network = _lightened(network, data, options)
    integers = quantize(network, data.training.samples[:CALIBRATION])
    card = describe(options, network, integers, data, epochs)
    floatfile.save(replace(network, card=card), floatfile.beside(options.output))
    modelfile.save(replace(integers, card=card), options.output)
