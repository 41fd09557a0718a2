"""A float network as one file, beside the quantized one that it became: ``mnist.float.safetensors`` by ``mnist.safetensors``.

:mod:`ebpfnn.network.tensorfile` is the container. Tensors are ``layers.N.weights`` and ``.bias``, and where training settled it
``.weight_scale``, float32; the rest is JSON, where a ``low`` or ``high`` of null is no bound.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from ..errors import ModelError
from ..network import events as carried
from ..network import fields
from ..network.fields import Described
from ..network.graph import chain
from ..network.layers import MaxPool, describe, expect
from ..network.model import LABEL, RESULTS
from ..network.tensorfile import Container, OtherVersion, Tensors
from .float_reference import shapes
from .floats import Activation, AvgPool, FloatAdd, FloatConcat, FloatConv2d, FloatDense, FloatLayer, FloatSquaredError, Network
from .functions import Function

SUFFIX = ".float.safetensors"
MAX_BYTES = 256 << 20

_CONTAINER = Container("ebpfnn-float", "1", "a float network")
_TYPES = {
    FloatDense: "dense",
    FloatConv2d: "conv2d",
    MaxPool: "max_pool",
    AvgPool: "avg_pool",
    FloatAdd: "add",
    FloatConcat: "concat",
    FloatSquaredError: "squared_error",
}
_MOST_FUNCTIONS = 16
_FUNCTIONS = f"'functions' must be up to {_MOST_FUNCTIONS} lists, each of a name and numbers"
_REMEDY = "give a file that `ebpfnn train` wrote"


def beside(model: Path) -> Path:
    """Where the float form of the quantized network in the file ``model`` lies, if it was kept."""
    return model.with_name(model.name.removesuffix(".safetensors") + SUFFIX)


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Writes ``network`` to ``path``: all of it, or nothing, so that a failure leaves a former file as it was.

    Raises :class:`ModelError` where the file cannot be written or :func:`load` would not take it.
    """
    path = Path(path)
    tensors = {
        f"layers.{number}.{name}": np.ascontiguousarray(getattr(layer, name))
        for number, layer in enumerate(network.layers)
        if isinstance(layer, (FloatDense, FloatConv2d))
        for name in ("weights", "bias", "weight_scale")
        if getattr(layer, name) is not None
    }
    data = _CONTAINER.encode(_describe(network), tensors)
    _decode(data, path)
    try:
        files.replace(path, data)
    except OSError as error:
        remedy = "give a path in a directory you may write to"
        raise ModelError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error


def load(path: str | os.PathLike[str]) -> Network:
    """Reads the network in ``path``; its arrays are read-only.

    Raises :class:`ModelError`, naming the file, where it is absent, malformed, of a later version, or over 256 MiB, and
    where layers do not fit each other or hold what is not finite.
    """
    path = Path(path)
    return _decode(files.read(path, MAX_BYTES, _REMEDY), path)


def _decode(data: bytes, path: Path) -> Network:
    try:
        return _build(*_CONTAINER.decode(data))
    except OtherVersion as error:
        raise ModelError(f"{path}: {error}") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}; {_REMEDY}") from error


def _describe(network: Network) -> dict[str, Any]:
    return {
        "name": network.name,
        "input": fields.describe_input(network.input),
        "labels": list(network.labels),
        "layers": [
            _describe_layer(layer) | ({} if sources == (number - 1,) else {"sources": list(sources)})
            for number, (layer, sources) in enumerate(zip(network.layers, network.takes, strict=True))
        ],
        "card": dict(network.card),
        **fields.describe_events(network.events),
        **({"result": network.result} if network.result != LABEL else {}),
    }


def _describe_layer(layer: FloatLayer) -> dict[str, Any]:
    described: dict[str, Any] = {"type": _TYPES[type(layer)]}
    if isinstance(layer, FloatSquaredError):
        return described | {"factor": layer.factor}
    if not isinstance(layer, (MaxPool, AvgPool)):
        by = layer.activation
        bounds = {name: bound if np.isfinite(bound) else None for name, bound in (("low", by.low), ("high", by.high))}
        described |= {"slope": by.slope, **bounds, "bits": by.bits, "scale": by.scale}
        described |= {"slopes": list(by.slopes)} if by.slopes else {}
        described |= {"functions": [[each.name, *each.parameters] for each in by.functions]} if by.functions else {}
    if isinstance(layer, FloatAdd) and layer.factors != (1.0, 1.0):
        described["factors"] = list(layer.factors)
    if isinstance(layer, (FloatDense, FloatConv2d)):
        described["weight_bits"] = layer.weight_bits
    if isinstance(layer, FloatConv2d):
        described["groups"] = layer.groups
    if isinstance(layer, (FloatConv2d, MaxPool, AvgPool)) and layer.window is not None:
        described |= fields.describe_window(layer.window)
    return described


def _build(described: Described, tensors: Tensors) -> Network:
    layers = fields.get(described, "layers", list)
    form = fields.within("input", fields.build_input, fields.get(described, "input", dict))
    unused = dict(tensors)
    built = tuple(fields.within(f"layer {n}", _layer, each, f"layers.{n}.", unused) for n, each in enumerate(layers))
    for name in sorted(unused):
        raise ModelError(f"tensor {name!r} is not expected")
    name, labels = fields.text(described, "name"), fields.texts(described, "labels")
    result = fields.text(described, "result") if "result" in described else LABEL
    sources = tuple(
        fields.within(f"layer {n}", fields.integers, each, "sources") if "sources" in each else (n - 1,)
        for n, each in enumerate(layers)
    )
    sources = () if sources == chain(len(layers)) else sources
    network = Network(name, form, labels, built, fields.card(described), fields.events(described), result, sources)
    expect(result in RESULTS, f"'result' is {result!r}; {', '.join(RESULTS)} are known")
    carried.check(network.events)
    _check_shapes(network)
    return network


def _check_shapes(network: Network) -> None:
    shape = shapes(network)[-1]
    width, labels = int(np.prod(shape)), len(network.labels)
    expect(bool(network.layers) and width == labels, f"the last layer gives {describe(shape)}, but there are {labels} labels")


def _layer(described: object, prefix: str, unused: dict[str, NDArray[Any]]) -> FloatLayer:
    """One layer; its tensors are taken out of ``unused``."""
    if not isinstance(described, dict):
        raise ModelError("is not described by a JSON object")
    kind = fields.get(described, "type", str)
    expect(kind in _TYPES.values(), f"is of type {kind!r}, and this ebpfnn knows {', '.join(_TYPES.values())}")
    if kind == "max_pool":
        return MaxPool(fields.build_window(described))
    if kind == "avg_pool":
        return AvgPool(fields.build_window(described) if "kernel" in described else None)
    if kind == "squared_error":
        factor = fields.number(described, "factor")
        expect(factor > 0, "'factor' must be positive")
        return FloatSquaredError(factor)
    if kind == "add":
        return FloatAdd(_activation(described), _factors(described))
    if kind == "concat":
        return FloatConcat(_activation(described))
    weights, bias = (_tensor(unused, prefix + name) for name in ("weights", "bias"))
    scale = _tensor(unused, prefix + "weight_scale") if prefix + "weight_scale" in unused else None
    activation, weight_bits = _activation(described), fields.integer(described, "weight_bits")
    expect(2 <= weight_bits <= 8, "'weight_bits' must lie in 2..8")
    if kind == "dense":
        return FloatDense(weights, bias, activation, weight_bits, scale)
    window, groups = fields.build_window(described), fields.integer(described, "groups")
    return FloatConv2d(weights, bias, window, groups, activation, weight_bits, scale)


def _activation(described: Described) -> Activation:
    slope, bits = fields.number(described, "slope"), fields.integer(described, "bits")
    low, high = (
        without if described.get(name, 0) is None else fields.number(described, name)
        for name, without in (("low", -np.inf), ("high", np.inf))
    )
    scale = None if described.get("scale", 0) is None else fields.number(described, "scale")
    expect(low < high, "'low' must lie below 'high'")
    expect(2 <= bits <= 8, "'bits' must lie in 2..8")
    expect(scale is None or scale > 0, "'scale' must be positive")
    slopes = _numbers(fields.get(described, "slopes", list)) if "slopes" in described else ()
    return Activation(slope, low, high, bits, scale, slopes, _functions(described))


def _functions(described: Described) -> tuple[Function, ...]:
    """Each is a list of its name and its parameters."""
    given = fields.get(described, "functions", list) if "functions" in described else []
    expect(len(given) <= _MOST_FUNCTIONS and all(isinstance(each, list) and each for each in given), _FUNCTIONS)
    return tuple(Function(fields.text({"name": name}, "name"), _numbers(rest)) for name, *rest in given)


def _factors(described: Described) -> tuple[float, float]:
    factors = _numbers(fields.get(described, "factors", list)) if "factors" in described else (1.0, 1.0)
    expect(len(factors) == 2 and any(factors), "'factors' must be two numbers, not both 0")
    return factors[0], factors[1]


def _numbers(values: list[object]) -> tuple[float, ...]:
    return tuple(fields.number({"number": value}, "number") for value in values)


def _tensor(unused: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    expect(name in unused, f"tensor {name!r} is missing")
    array = unused.pop(name)
    expect(array.dtype == np.float32 and array.size > 0, f"tensor {name!r} must be float32, and not empty")
    expect(bool(np.isfinite(array).all()), f"tensor {name!r} must be finite")
    return array
