"""What a model file says of a network: tensors, and JSON for all that is none.

Whatever is read is checked: types by :mod:`ebpfnn.network.fields`, ranges by the dataclasses of :mod:`ebpfnn.network.layers`
and :mod:`ebpfnn.network`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from . import calibration, fields, tableformat
from .fields import Described
from .layers import LARGEST_SIZE, Add, Concat, Conv2d, Dense, Join, Layer, MaxPool, SquaredError, Table, Unscaled, expect
from .model import LABEL
from .network import MOST_STAGES, Next, QuantizedNetwork
from .tensorfile import Tensors

_TENSORS = ("weights", "bias", "positive", "negative")
_JOINED = {"add": ("factors", "bias", "positive", "negative"), "concat": ("bias", "positive", "negative")}
_TYPES = {
    Dense: "dense",
    Conv2d: "conv2d",
    MaxPool: "max_pool",
    Table: "table",
    Add: "add",
    Concat: "concat",
    SquaredError: "squared_error",
}
_THEN = "then."
"""In front of the names of the tensors of a cascade's next network."""


def describe(network: QuantizedNetwork) -> dict[str, Any]:
    """All of ``network`` but its tensors, as JSON knows it. Without ``events``, ``then`` and ``result`` if usual."""
    return {
        "name": network.name,
        "input": fields.describe_input(network.input),
        "labels": list(network.labels),
        "layers": [_describe_layer(layer) | _describe_sources(network, number) for number, layer in enumerate(network.layers)],
        "score_scale": network.score_scale,
        "density": list(network.density),
        "card": dict(network.card),
        **fields.describe_events(network.events),
        **_describe_next(network.then),
        **calibration.describe(network.calibration),
        **({"result": network.result} if network.result != LABEL else {}),
    }


def _describe_sources(network: QuantizedNetwork, number: int) -> dict[str, Any]:
    """Left out where a layer is given what the one before it gives."""
    sources = network.takes[number]
    return {} if sources == (number - 1,) else {"sources": list(sources)}


def _describe_next(then: Next | None) -> dict[str, Any]:
    return {"then": {"margin": then.margin, "share": then.share, "network": describe(then.network)}} if then else {}


def tensors(network: QuantizedNetwork) -> dict[str, NDArray[Any]]:
    """The tensors of ``network`` by name: ``layers.N.weights``, ``.bias``, ``.positive`` and ``.negative``.

    A layer may have ``.activation``. Those of tables are in :mod:`ebpfnn.network.tableformat`. Those of a cascade's next
    network begin with ``then.``.
    """
    found = {
        f"layers.{number}.{name}": np.ascontiguousarray(array)
        for number, layer in enumerate(network.layers)
        for name, array in _layer_tensors(layer).items()
    }
    if network.then:
        found |= {_THEN + name: array for name, array in tensors(network.then.network).items()}
    return found


def _layer_tensors(layer: Layer) -> dict[str, NDArray[Any]]:
    if isinstance(layer, Unscaled):
        return {}
    if isinstance(layer, Table):
        return tableformat.tensors(layer)
    by = layer.requantization
    table = {} if by.activation is None else {"activation": by.activation}
    own = {name: getattr(layer, name) for name in ("weights", "factors", "bias") if hasattr(layer, name)}
    return {**own, "positive": by.positive, "negative": by.negative, **table}


def build(described: Described, arrays: Tensors) -> QuantizedNetwork:
    """The network that :func:`describe` and :func:`tensors` were given; it keeps ``arrays``.

    Raises :class:`ModelError` for whatever is absent, of another type, or out of range.
    """
    return _build(described, arrays, MOST_STAGES)


def _build(described: Described, arrays: Tensors, stages: int) -> QuantizedNetwork:
    """A network of at most ``stages``."""
    expect(stages > 0, f"more than {MOST_STAGES} networks in a cascade")
    then = fields.within("next network", _next, described["then"], arrays, stages - 1) if "then" in described else None
    arrays = {name: array for name, array in arrays.items() if then is None or not name.startswith(_THEN)}
    layers, score_scale = fields.get(described, "layers", list), fields.number(described, "score_scale")
    expect(score_scale > 0, "'score_scale' must be positive")
    form = fields.within("input", fields.build_input, fields.get(described, "input", dict))
    unused = dict(arrays)
    built = _layers(layers, unused)
    for name in sorted(unused):
        raise ModelError(f"tensor {name!r} is not expected")
    density = tuple(fields.number({"density": share}, "density") for share in fields.get(described, "density", list))
    calibrated = calibration.build(described)
    name, labels, card = fields.text(described, "name"), fields.texts(described, "labels"), fields.card(described)
    result = fields.text(described, "result") if "result" in described else LABEL
    events = fields.events(described)
    sources = tuple(_sources(each, number) for number, each in enumerate(layers))
    return QuantizedNetwork(name, form, labels, built, score_scale, density, card, events, then, result, calibrated, sources)


def _sources(described: Any, number: int) -> tuple[int, ...]:
    """What the layer ``number`` is given; usually what the one before it gives."""
    return fields.within(f"layer {number}", fields.integers, described, "sources") if "sources" in described else (number - 1,)


def _layers(described: Sequence[object], unused: dict[str, NDArray[Any]]) -> tuple[Layer, ...]:
    """The layers, whose tensors are taken out of ``unused``. Tables take more than a file stores, so their sum is bounded."""
    built, values = [], 0
    for number, each in enumerate(described):
        built.append(layer := fields.within(f"layer {number}", _layer, each, f"layers.{number}.", unused))
        values += layer.tables.size if isinstance(layer, Table) else 0
        expect(
            values <= LARGEST_SIZE, f"layer {number}: the tables so far hold {values} values; at most {LARGEST_SIZE} are taken"
        )
    return tuple(built)


def _next(described: object, arrays: Tensors, stages: int) -> Next:
    if not isinstance(described, dict):
        raise ModelError("is not described by a JSON object")
    its = {name.removeprefix(_THEN): array for name, array in arrays.items() if name.startswith(_THEN)}
    network = _build(fields.get(described, "network", dict), its, stages)
    return Next(network, fields.integer(described, "margin"), fields.number(described, "share"))


def _describe_layer(layer: Layer) -> dict[str, Any]:
    described: dict[str, Any] = {"type": _TYPES[type(layer)]}
    if isinstance(layer, Table):
        return described | tableformat.describe(layer)
    if not isinstance(layer, Unscaled):
        described |= fields.describe_requantization(layer.requantization)
    if isinstance(layer, Conv2d | MaxPool):
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
    if kind == "squared_error":
        return SquaredError()
    if kind == "table":
        return tableformat.build(described, lambda name: _tensor(unused, prefix + name))
    if kind in _JOINED:
        return _join(described, kind, [_tensor(unused, prefix + name) for name in _JOINED[kind]])
    weights, bias, positive, negative = (_tensor(unused, prefix + name) for name in _TENSORS)
    activation = unused.pop(prefix + "activation", None)
    by = fields.build_requantization(described, positive, negative, activation)
    if kind == "dense":
        return Dense(weights, bias, by)
    groups, pad_value = fields.integer(described, "groups"), fields.integer(described, "pad_value")
    return Conv2d(weights, bias, by, fields.build_window(described), groups, pad_value)


def _join(described: Described, kind: str, arrays: list[NDArray[Any]]) -> Join:
    *first, positive, negative = arrays
    by = fields.build_requantization(described, positive, negative)
    return Add(first[0], first[1], by) if kind == "add" else Concat(first[0], by)


def _tensor(unused: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    expect(name in unused, f"tensor {name!r} is missing")
    return unused.pop(name)
