"""A training run of a table network: it is trained in integers, so nothing is quantized afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..bodies import modelfile
from ..errors import ModelError
from ..network import QuantizedNetwork, reference
from ..network.architecture import Step, parse
from ..network.inputformat import InputFormat
from ..network.layers import ByteLanes, Requantization, Table
from ..quantize import floatfile
from . import card
from .data import Data
from .distributed import Team
from .fitting import fitted
from .groups import groups, row_numbers
from .options import INTERACTIONS, Options
from .preparing import input_format
from .tables import TableNetwork

SHIFT = 2
"""What a sum is shifted by before it selects scores, unless the options say otherwise."""
CALIBRATION = 2_000
OCCUPIED = 512
"""The number of training samples that tell how often a group is blank."""
_CHUNK = 8_192
_INT32_MAX = 2**31 - 1


def run(options: Options, data: Data, mine: Team) -> int:
    """Trains a table network, measures it, writes it, and returns the number of epochs."""
    _check(options)
    options = replace(options, optimizer="adamw")  # Adam would scale the decay of terms by their gradients
    shape = data.training.samples.shape[1:]
    form, order = layout(options, data)
    hidden, last = parse(options.architecture, shape)
    if last.channels != len(data.names):
        fact = f"network {options.architecture!r} gives {last.channels} scores, but there are {len(data.names)} classes"
        raise ModelError(f"{fact}; end it with {len(data.names)}")
    live = kept(options, form, order, data)
    model = build(options, form, order[live], hidden, last)
    epochs = fitted(model, form, data, options, mine, lambda samples: row_numbers(form, order[live], samples))
    if mine.leads:
        network = exported(model, form, order, live, options, data)
        network = replace(network, card=card.of_integers(options, network, data, epochs))
        modelfile.save(network, options.output)
        floatfile.beside(options.output).unlink(missing_ok=True)  # of another network
    return epochs


def layout(options: Options, data: Data) -> tuple[InputFormat, NDArray[np.int32]]:
    """The input format, packed in the order of the groups if it is packed, and the groups.

    Raises :class:`ModelError` if the tiles do not fit the samples.
    """
    shape = data.training.samples.shape[1:]
    form = input_format(options.precision, shape, data.preparation)
    order = groups(shape, form.bits, options.tiles)
    if not (form.packed and options.tiles):
        return form, order
    return replace(form, order=tuple(map(int, order.flatten()))), order


def kept(options: Options, form: InputFormat, order: NDArray[np.int32], data: Data) -> NDArray[np.bool_]:
    """The groups that get a table, bool [groups]: all but the idle ones, which are blank in nearly all training samples.

    Raises :class:`ModelError` if none is left.
    """
    share = options.precision.idle
    if share is None:
        return np.ones(len(order), np.bool_)
    samples = data.training.samples
    chunks = (row_numbers(form, order, samples[start : start + _CHUNK]) != 0 for start in range(0, len(samples), _CHUNK))
    live: NDArray[np.bool_] = sum(chunk.sum(axis=0) for chunk in chunks) > share * len(samples)
    if not live.any():
        fact = f"all {len(order)} groups are 0 but in at most {share:.2%} of the training samples"
        raise ModelError(f"--trim-idle {share:g}: {fact}; give a smaller share")
    return live


def build(options: Options, form: InputFormat, order: NDArray[np.int32], hidden: Step, last: Step) -> TableNetwork:
    """The module to train, initialized from the run's seed."""
    shift = 8 - options.precision.hidden_bits if options.precision.aware else SHIFT
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return TableNetwork(
            len(order),
            form.bits,
            order.shape[1],
            hidden=hidden.channels,
            classes=last.channels,
            most=options.interactions or INTERACTIONS,
            shift=shift,
            slope=options.slope,
        )


def exported(
    model: TableNetwork,
    form: InputFormat,
    order: NDArray[np.int32],
    live: NDArray[np.bool_],
    options: Options,
    data: Data,
) -> QuantizedNetwork:
    """The integers of ``model``, which has the ``live`` groups of ``order``, as a network. The tables of the others are 0."""
    found = model.integers()
    tables = np.zeros((len(order), *found.rows.shape[1:]), np.int16)
    tables[live] = found.rows
    seen = row_numbers(form, order, data.training.samples[:OCCUPIED])
    classes, by = len(found.scores.bias), ByteLanes(model.scores.shift)
    first = Table(tables, found.bias, order, by, form.bits, occupied=np.packbits(seen != 0, axis=1))
    each = np.arange(len(found.bias), dtype=np.int32).reshape(-1, 1)
    last = Table(found.scores.rows, found.scores.bias, each, _identity(classes), 8 - by.shift)
    network = QuantizedNetwork(options.name, form, data.names, (first, last), found.scores.step, events=data.events)
    return replace(network, density=reference.density(network, data.training.samples[:CALIBRATION]))


def _identity(channels: int) -> Requantization:
    """Scores as they are: times 2, shifted right by 1."""
    two = np.full(channels, 2, np.int32)
    return Requantization(two, two, 1, -_INT32_MAX - 1, _INT32_MAX)


def _check(options: Options) -> None:
    """Raises :class:`ModelError` for options that mean nothing for a table network."""
    precision = options.precision
    given = {
        "--weight-bits": precision.weight_bits != 8,
        "--shared-steps": precision.shared_steps,
        "--optimizer sgd": options.optimizer == "sgd",
        "--dropout": bool(options.dropout),
        "--weight-decay": bool(options.weight_decay),
    }
    for option in (option for option, there in given.items() if there):
        raise ModelError(f"{option}: a table network, {options.architecture!r}, has no use for it; leave it out")
