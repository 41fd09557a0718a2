"""What a model file says of a network: tensors, and JSON for all that is none.

Whatever is read is checked: types by :mod:`ebpfnn.network.fields`, ranges by the dataclasses of :mod:`ebpfnn.network.layers`
and :mod:`ebpfnn.network`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from . import fields
from .fields import Described
from .layers import Conv2d, Dense, Layer, MaxPool, Requantization, expect
from .network import QuantizedNetwork
from .tensorfile import Tensors

_TENSORS = ("weights", "bias", "positive", "negative")
_TYPES = {Dense: "dense", Conv2d: "conv2d", MaxPool: "max_pool"}


def describe(network: QuantizedNetwork) -> dict[str, Any]:
    """All of ``network`` but its tensors, as JSON knows it. Without ``events`` if it has none."""
    return {
        "name": network.name,
        "input": fields.describe_input(network.input),
        "labels": list(network.labels),
        "layers": [_describe_layer(layer) for layer in network.layers],
        "score_scale": network.score_scale,
        "density": list(network.density),
        "card": dict(network.card),
        **fields.describe_events(network.events),
    }


def tensors(network: QuantizedNetwork) -> dict[str, NDArray[Any]]:
    """The tensors of ``network`` by name: ``layers.N.weights``, ``.bias``, ``.positive`` and ``.negative``."""
    return {
        f"layers.{number}.{name}": np.ascontiguousarray(getattr(layer if name in ("weights", "bias") else by, name))
        for number, layer in enumerate(network.layers)
        if not isinstance(layer, MaxPool)
        for by in [layer.requantization]
        for name in _TENSORS
    }


def build(described: Described, arrays: Tensors) -> QuantizedNetwork:
    """The network that :func:`describe` and :func:`tensors` were given; it keeps ``arrays``.

    Raises :class:`ModelError` for whatever is absent, of another type, or out of range.
    """
    layers, score_scale = fields.get(described, "layers", list), fields.number(described, "score_scale")
    expect(score_scale > 0, "'score_scale' must be positive")
    form = fields.within("input", fields.build_input, fields.get(described, "input", dict))
    unused = dict(arrays)
    built = tuple(fields.within(f"layer {n}", _layer, each, f"layers.{n}.", unused) for n, each in enumerate(layers))
    for name in sorted(unused):
        raise ModelError(f"tensor {name!r} is not expected")
    density = tuple(fields.number({"density": share}, "density") for share in fields.get(described, "density", list))
    name, labels, card = fields.text(described, "name"), fields.texts(described, "labels"), fields.card(described)
    return QuantizedNetwork(name, form, labels, built, score_scale, density, card, fields.events(described))


def _describe_layer(layer: Layer) -> dict[str, Any]:
    described: dict[str, Any] = {"type": _TYPES[type(layer)]}
    if not isinstance(layer, MaxPool):
        by = layer.requantization
        described |= {field: getattr(by, field) for field in ("shift", "low", "high", "zero_point", "slope")}
    if not isinstance(layer, Dense):
        described |= fields.describe_window(layer.window)
    if isinstance(layer, Conv2d):
        described |= {"groups": layer.groups, "pad_value": layer.pad_value}
    return described


def _layer(described: object, prefix: str, unused: dict[str, NDArray[Any]]) -> Layer:
    """One layer; its tensors are taken out of ``unused``."""
    if not isinstance(described, dict):
        raise ModelError("is not described by a JSON object")
    kind = fields.get(described, "type", str)
    expect(kind in _TYPES.values(), f"is of type {kind!r}, and this ebpfnn knows {', '.join(_TYPES.values())}")
    if kind == "max_pool":
        return MaxPool(fields.build_window(described))
    weights, bias, positive, negative = (_tensor(unused, prefix + name) for name in _TENSORS)
    shift, low, high, zero_point = (fields.integer(described, field) for field in ("shift", "low", "high", "zero_point"))
    by = Requantization(positive, negative, shift, low, high, zero_point, fields.number(described, "slope"))
    if kind == "dense":
        return Dense(weights, bias, by)
    groups, pad_value = fields.integer(described, "groups"), fields.integer(described, "pad_value")
    return Conv2d(weights, bias, by, fields.build_window(described), groups, pad_value)


def _tensor(unused: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    expect(name in unused, f"tensor {name!r} is missing")
    return unused.pop(name)
