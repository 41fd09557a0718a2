"""What the scores of a network say: the classes of its labels, one logit for two of them, a value, or a vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import ModelError
from ..network.layers import Conv2d, Dense, Layer, Requantization, expect
from ..network.model import ANOMALY, LABEL, VALUE, VECTOR
from ..quantize.floats import Activation, FloatConv2d, FloatDense, FloatLayer, Network
from ..quantize.functions import Function
from ..quantize.tabular import Affine
from . import branches, reconstruction
from .options import ImportOptions
from .steps import Activate, Chain

_REMEDY = "its one output stands for two classes, but is no sum of its last layer; export the logit"


def network(chain: Chain, name: str, options: ImportOptions, card: Mapping[str, str]) -> Network:
    """The float network of ``chain``. Raises :class:`ModelError` for what no layer can do, and for labels that do not fit."""
    if reconstruction.is_asked(options):
        return _reconstructing(chain, name, options, card)
    whole(chain, options)
    shape, layers, sources = branches.layers(chain, options.mean, options.std)
    reconstruction.check(chain, options)
    if of_two(chain, options):
        layers = (*layers[:-1], doubled(layers[-1]))
    return replace(labelled(chain, options).network(name, shape, layers, card, sources), result=result(chain, options))


def _reconstructing(chain: Chain, name: str, options: ImportOptions, card: Mapping[str, str]) -> Network:
    reconstruction.check(chain, options)
    units = reconstruction.units(chain, options)
    reconstruction.restored(chain, units)
    shape, layers, sources = branches.layers(chain, options.mean, options.std)
    layers, sources = reconstruction.compared(layers, sources, units)
    return replace(reconstruction.labelled(options).network(name, shape, layers, card, sources), result=ANOMALY)


def integers(chain: Chain, options: ImportOptions, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """``layers``, whose last one gives what :func:`result` says. Raises as :func:`doubled` and :func:`check`."""
    check(chain, options)
    if result(chain, options) == LABEL and outputs(chain) > 1:
        return layers
    return (*layers[:-1], (doubled_integers if of_two(chain, options) else of_value)(layers[-1]))


def labelled(chain: Chain, options: ImportOptions) -> ImportOptions:
    """``options`` with the labels of the graph where they say none."""
    if options.labels:
        return options
    only = (VALUE,) if result(chain, options) == VALUE else None
    return replace(options, labels=chain.labels or only)


def of_two(chain: Chain, options: ImportOptions) -> bool:
    """Whether the one output of ``chain`` is the logit of the second of two classes: the graph says so, or two labels do."""
    return outputs(chain) == 1 and (chain.logit or len(options.labels or ()) == 2)


def result(chain: Chain, options: ImportOptions) -> str:
    """What the scores are: one output that stands for no classes is a value, and several may be a vector."""
    if outputs(chain) == 1:
        return LABEL if of_two(chain, options) else VALUE
    return VECTOR if VECTOR in (options.result, chain.result) else LABEL


def check(chain: Chain, options: ImportOptions) -> None:
    """Raises :class:`ModelError` if a vector was asked for, and there is none."""
    if options.result != VECTOR:
        return
    expect(outputs(chain) > 1, "gives one number, which is no vector; leave out --result vector")
    fact = "ends with a softmax, which no layer computes; export the logits, or leave out --result vector, which gives labels"
    expect(chain.ending != "softmax", fact)


def ends_in_sigmoid(chain: Chain, options: ImportOptions) -> bool:
    """Whether a sigmoid at the end changes the result."""
    return chain.ending == "sigmoid" and result(chain, options) == VECTOR


def whole(chain: Chain, options: ImportOptions) -> None:
    """Makes the sigmoid at the end of ``chain`` a part of it if :func:`ends_in_sigmoid`.

    Raises as :func:`check`.
    """
    check(chain, options)
    if ends_in_sigmoid(chain, options):
        chain.append(Activate("the sigmoid at the end", Activation(functions=(Function("sigmoid"),))))


def outputs(chain: Chain) -> int:
    """How many scores ``chain`` gives."""
    return int(np.prod(chain.shape))


def doubled(layer: FloatLayer) -> FloatLayer:
    """``layer``, whose output is a logit, with an output of 0 before it. Raises :class:`ModelError` if it is no plain sum."""
    if not isinstance(layer, (FloatDense, FloatConv2d)) or layer.activation != Activation() or len(layer.bias) != 1:
        raise ModelError(_REMEDY)
    weights = np.concatenate([np.zeros_like(layer.weights), layer.weights])
    return replace(layer, weights=weights, bias=np.append(np.zeros(1, np.float32), layer.bias))


def doubled_integers(layer: Layer) -> Layer:
    """As :func:`doubled`, of integers: a sum of 0 becomes what stands for 0."""
    by = getattr(layer, "requantization", None)
    if not isinstance(layer, (Dense, Conv2d)) or not isinstance(by, Requantization) or len(layer.bias) != 1:
        raise ModelError(_REMEDY)
    twice = replace(by, positive=np.repeat(by.positive, 2), negative=np.repeat(by.negative, 2))
    weights = np.concatenate([np.zeros_like(layer.weights), layer.weights])
    return replace(layer, weights=weights, bias=np.append(np.zeros(1, np.int32), layer.bias), requantization=twice)


def of_value(layer: Layer) -> Layer:
    """``layer``, the last, with 0 standing for 0: then a score times its scale is the value."""
    by = getattr(layer, "requantization", None)
    if not isinstance(layer, (Dense, Conv2d)) or not isinstance(by, Requantization):
        return layer
    moved = replace(by, low=by.low - by.zero_point, high=by.high - by.zero_point, zero_point=0)
    return replace(layer, requantization=moved)


def doubled_affine(first: Affine) -> Affine:
    """As :func:`doubled`, in float64."""
    return Affine(np.concatenate([np.zeros_like(first.weights), first.weights]), np.append(0.0, first.bias))
