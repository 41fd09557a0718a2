"""Autoencoders: the score is the error between what a network reconstructs and its sample."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ..errors import ModelError
from ..network.graph import SAMPLE, Sources, chain
from ..network.layers import describe, expect
from ..network.model import ANOMALY
from ..network.network import MAX_CLASSES, too_wide
from ..quantize.floats import Activation, FloatConv2d, FloatDense, FloatLayer, FloatSquaredError
from ..quantize.functions import Function
from .options import ImportOptions
from .steps import Activate, Chain, Quantize, Scale

_IN_BYTES = "takes bytes and gives more outputs than a result carries; if it reconstructs its input, give --result anomaly"


def is_asked(options: ImportOptions) -> bool:
    """Whether the result shall be the error."""
    return options.result == ANOMALY


def check(found: Chain, options: ImportOptions) -> None:
    """Raises :class:`ModelError` for more outputs than a result carries, and for an error that was asked for but is none."""
    outputs, inputs = prod(found.shape), prod(found.root.input_shape)
    if not is_asked(options):
        expect(outputs <= MAX_CLASSES, _IN_BYTES if found.root.input_bytes and outputs == inputs else too_wide(outputs, inputs))
        return
    told = (options.mean, options.std) != ((0.0,), (1.0,))
    expect(not found.root.input_bytes or not told, "takes bytes, and says what they stand for; leave out --mean and --std")
    shapes = f"takes {describe(found.root.input_shape)} values and gives {describe(found.shape)}"
    expect(outputs == inputs, f"{shapes}, so it reconstructs nothing; --result anomaly is for a network that gives as many")
    expect(found.root.places is None, "has samples in another layout than it gives; export it with channels first")
    expect(len(set(options.std)) == len(set(options.mean)) == 1, "has one error for all values; give one --mean and one --std")
    labels = options.labels or (ANOMALY,)
    expect(len(labels) == 1, f"has one anomaly score, but there are {len(labels)} labels; give one, or none")


def check_rows(found: Chain, options: ImportOptions) -> None:
    """As :func:`check`, of a network over rows of a table: each column has steps of its own."""
    remedy = "give --calibration of bytes, and the --mean and --std that make its input of them"
    expect(not is_asked(options), f"takes rows of a table, whose columns have no one unit for an error; {remedy}")
    check(found, options)


def units(found: Chain, options: ImportOptions) -> ImportOptions:
    """``options`` with the mean and std that make what ``found`` computes with of samples, 0..1: bytes have a scale."""
    if not found.root.input_bytes:
        return options
    factor, offset = 1.0, 0.0
    for step in found.root.steps:
        if not isinstance(step, Scale) or step.factor.size != 1 or step.offset.size != 1:
            break
        factor, offset = factor * float(step.factor[0]), offset * float(step.factor[0]) + float(step.offset[0])
    expect(factor != 0, "multiplies its input by 0, so there is nothing to reconstruct; export it again")
    return replace(options, mean=(-offset / factor,), std=(1 / factor,))


def restored(found: Chain, options: ImportOptions) -> None:
    """Brings what ``found`` gives back to samples, 0..1: ``(x - mean) / std`` is what it is given.

    What it ends with counts here, though it changes no label. A rounding at the end gives way to that of the sample.
    """
    while found.steps and isinstance(found.steps[-1], Quantize):
        found.steps.pop()
    expect(found.ending != "softmax", "ends with a softmax, which is no reconstruction; end it with a Linear or a sigmoid")
    if found.ending:
        found.append(Activate("the sigmoid at the end", Activation(functions=(Function("sigmoid"),))))
    if (options.mean[0], options.std[0]) != (0.0, 1.0):
        found.append(Scale("the units of the sample", np.array([options.std[0]]), np.array([options.mean[0]])))


def compared(
    layers: tuple[FloatLayer, ...], sources: Sources, options: ImportOptions
) -> tuple[tuple[FloatLayer, ...], Sources]:
    """``layers`` and the error behind them. Raises :class:`ModelError` for a last layer that has no weights."""
    if not isinstance(layers[-1], (FloatDense, FloatConv2d)):
        raise ModelError("ends with a pool or a sum, whose steps are not the sample's; end it with a Linear or Conv2d")
    every = sources or chain(len(layers))
    error = FloatSquaredError(float(np.float64(options.std[0]) ** -2))
    return (*layers, error), (*every, (len(layers) - 1, SAMPLE))


def labelled(options: ImportOptions) -> ImportOptions:
    """``options`` with the label of the score."""
    return replace(options, labels=options.labels or (ANOMALY,))
