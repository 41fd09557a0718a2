"""The model card: where a network came from and its accuracy. No dates and paths, so that one recipe makes the same file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..bodies import kind_of
from ..network import QuantizedNetwork
from ..network.architecture import has_tables
from ..network.layers import describe as describe_shape
from ..network.model import Model
from ..quantize import float_reference
from ..quantize.floats import Network
from .data import Data, Part
from .options import INTERACTIONS, INTERRUPTED, Options

_SOURCES = {
    "MNIST": "MNIST (LeCun, Cortes, Burges)",
    "FashionMNIST": "Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747)",
}


def describe(options: Options, network: Network, integers: QuantizedNetwork, data: Data, epochs: int) -> Mapping[str, str]:
    """The card of a run that made ``network`` and ``integers`` from ``data`` in ``epochs`` epochs."""
    floats = measured(float_share(network, data.held_out), float_share(network, data.test))
    return {**_origin(options, integers, data, epochs), "float accuracy": floats, **_integers(integers, data)}


def of_integers(options: Options, integers: QuantizedNetwork, data: Data, epochs: int) -> Mapping[str, str]:
    """The card of a network that has no form of floats."""
    return {**_origin(options, integers, data, epochs), **_integers(integers, data)}


def of_trees(options: Options, forest: Model, data: Data, recipe: str, floats: tuple[float, float]) -> Mapping[str, str]:
    """The card of trees. ``floats`` are the shares of held-out and test samples that they labeled correctly in floats."""
    words = [recipe, _common(options)]
    told = {
        "data": _SOURCES.get(options.dataset, options.dataset),
        **data.card,
        "architecture": options.architecture,
        "recipe": ", ".join(filter(None, words)),
        "seed": str(options.seed),
    }
    return {**told, "float accuracy": measured(*floats), **_integers(forest, data)}


def _integers(network: Model, data: Data) -> Mapping[str, str]:
    return {"integer accuracy": measured(integer_share(network, data.held_out), integer_share(network, data.test))}


def _origin(options: Options, integers: QuantizedNetwork, data: Data, epochs: int) -> Mapping[str, str]:
    stopped = {} if epochs == options.epochs else {INTERRUPTED: f"after {epochs} of {options.epochs} epochs"}
    return {
        "data": _SOURCES.get(options.dataset, options.dataset),
        **data.card,
        "architecture": integers.architecture if options.module else options.architecture,
        "recipe": recipe(_as_shown(options, data)),
        "seed": str(options.seed),
        **stopped,
    }


def _as_shown(options: Options, data: Data) -> Options:
    """``options`` without the distortion, if samples have no rows and columns."""
    return replace(options, distortion=None) if data.training.samples.ndim == 2 else options


def recipe(options: Options) -> str:
    """All options of the training except the seed."""
    activation = f"LeakyReLU slope {options.slope:g}" if options.slope else "ReLU"
    words = [
        "a module of one's own" if options.module else activation,
        f"{options.optimizer} {options.learning_rate:g}, {options.schedule} schedule, {options.epochs} epochs",
        f"batches of {options.batch_size}",
        f"weight decay {options.weight_decay:g}" if options.weight_decay else "",
        f"dropout {options.dropout:g}" if options.dropout and not options.module else "",
        _distortion(options),
        _teaching(options),
        _precision(options),
        _tables(options),
        _common(options),
        "best epoch by held-out samples",
    ]
    return ", ".join(filter(None, words))


def _common(options: Options) -> str:
    """What networks and trees have in common."""
    weights = f"classes weighted {options.class_weights}" if options.class_weights else ""
    return ", ".join(filter(None, (weights, f"split by {options.split_by}" if options.split_by else "")))


def measured(held_out: float, test: float) -> str:
    """Shares in the form that a card has."""
    return f"{test:.2%} of the test samples, {held_out:.2%} of those held out"


def float_share(network: Network, part: Part) -> float:
    """The share of ``part`` that the float network labels correctly, 0..1."""
    return float((float_reference.logits(network, part.samples).argmax(axis=1) == part.labels).mean())


def integer_share(network: Model, part: Part) -> float:
    """The share of ``part`` that the model in integers labels correctly, 0..1."""
    return float((kind_of(network).scores(network, part.samples).argmax(axis=1) == part.labels).mean())


def _tables(options: Options) -> str:
    if not has_tables(options.architecture):
        return ""
    tiles = f" in tiles of {describe_shape(options.tiles)}" if options.tiles else ""
    return f"tables of terms of up to {options.interactions or INTERACTIONS} inputs{tiles}"


def _distortion(options: Options) -> str:
    by = options.distortion
    if by is None:
        return ""
    moved = f"rotated by up to {by.rotation:g} degrees, shifted {by.shift:g} pixels, scaled {by.scale:g}, sheared {by.shear:g}"
    moved += ", half mirrored" if by.mirror else ""
    return moved + (f", {options.views} views" if options.views else "")


def _teaching(options: Options) -> str:
    by = options.teaching
    return f"taught by {by.network.name.split('.')[0]} (temperature {by.temperature:g}, share {by.share:g})" if by else ""


def _precision(options: Options) -> str:
    by = options.precision
    bits = f"{by.input_bits}-bit input" if by.input_bits < 8 else ""
    aware = f"trained with {by.hidden_bits}-bit activations and {by.weight_bits}-bit weights" if by.aware else ""
    what = "tables for groups" if has_tables(options.architecture) else "weights for inputs"
    idle = "" if by.idle is None else f"no {what} above 0 in at most {by.idle:.2%} of the samples"
    steps = "one weight step a hidden layer" if by.shared_steps else ""
    return ", ".join(filter(None, (bits, aware, idle, steps)))
