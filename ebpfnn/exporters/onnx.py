"""A quantized network as an ONNX model: pixels in, logits out, in the form that onnxruntime's integer kernels recognize.

The form is QDQ (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html): operators between
DequantizeLinear and QuantizeLinear, whose scales say what integers are worth. A network stores only the ratio of scales,
``multiplier / 2^shift = weight scale * input scale / output scale`` (docs/quantization.md, equation 9). So a hidden layer's
scale may be anything, and is 1/128 here; that of the input is known, as is that of the scores; the weights' follow.

Sums are exact or nearly so, but onnxruntime rounds a half to even and multiplies in float32: a value can differ by one.
Graphs, networks with tables and cascades, which that could change altogether, are exported by
:mod:`ebpfnn.exporters.onnx_integers`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from ..errors import ModelError, NotSupported
from ..network import QuantizedNetwork
from ..network.layers import (
    INT32_MAX,
    INT32_MIN,
    Conv2d,
    Dense,
    Join,
    MaxPool,
    Requantization,
    Shape,
    SquaredError,
    Table,
    Weighted,
    Window,
    expect,
    image_shape,
)
from ..network.model import LABEL
from ..network.onnxkeys import EVENTS, LABELS, PREPARATION, RESULT, SCORES
from . import onnx_integers
from .graph import Graph
from .onnx_levels import levels

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT, OUTPUT = "pixels", "logits"
HIDDEN_SCALE = np.float32(2.0**-7)


@dataclass(frozen=True)
class _Values:
    """A tensor of the graph, dequantized: what an integer of it is worth, and which stands for 0."""

    name: str
    scale: np.float32
    zero_point: int = 0


def export(network: QuantizedNetwork, path: str | os.PathLike[str]) -> None:
    """Writes ``network`` to ``path`` as an ONNX model: all of it, or nothing.

    Its input ``pixels`` is uint8 [n, *shape], which packed networks take too; its output ``logits`` float32 [n, classes]. A
    graph, a network with tables and a cascade also have ``scores``, int32 [n, classes], which are exact, and a cascade
    ``stage``, int64 [n]: the number of the network that decided, from 0 on.

    Raises :class:`NotSupported` without the onnx package, :class:`ModelError` where the file cannot be written or a layer
    cannot be said in ONNX.
    """
    path = Path(path)
    data = build(network).SerializeToString()
    try:
        files.replace(path, data)
    except OSError as error:
        remedy = "give a path in a directory you may write to"
        raise ModelError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error


def build(network: QuantizedNetwork) -> ModelProto:
    """The model, checked by onnx. Raises as :func:`export`."""
    try:
        graph = Graph()
    except ImportError as error:
        raise NotSupported(f"ONNX: {error.name} is not installed; pip install 'ebpfnn[onnx]'") from error
    metadata = _metadata(network)
    if is_exact(network):
        return _in_integers(graph, network, metadata)
    given = levels(graph, network.input, INPUT)
    values = _dequantized(graph, given, np.float32(1 / network.input.highest), _zero(0, 0))
    for number in range(len(network.layers)):
        try:
            values = _layer(graph, network, number, values)
        except ModelError as error:
            raise ModelError(f"network '{network.name}', layer {number} {error}") from error
    graph.node("Flatten", values.name, output=OUTPUT, axis=1)
    results = {OUTPUT: (graph.FLOAT, (len(network.labels),))}
    return graph.model(network.name, (INPUT, network.input_shape), results, metadata)


def _metadata(network: QuantizedNetwork) -> dict[str, str]:
    """The card, name and labels, and what the scores say; and what makes samples of events, if the network observes them."""
    card = {key: value for key, value in network.card.items() if key not in (EVENTS, PREPARATION, RESULT)}
    told = {**card, "name": network.name, LABELS: json.dumps(network.labels)}
    if network.result != LABEL:
        told[RESULT] = json.dumps(network.result)
    if network.events:
        told |= {EVENTS: json.dumps(dict(network.events)), PREPARATION: json.dumps(asdict(network.input.preparation))}
    return told


def is_exact(network: QuantizedNetwork) -> bool:
    """Whether the model computes in integers alone, and has them as its output ``scores``."""
    return network.then is not None or any(
        isinstance(layer, Table | Join | SquaredError) or _looks_up(layer) for layer in network.layers
    )


def _looks_up(layer: object) -> bool:
    return isinstance(layer, Weighted) and layer.requantization.activation is not None


def _in_integers(graph: Graph, network: QuantizedNetwork, metadata: Mapping[str, str]) -> ModelProto:
    scores, logits, stage = onnx_integers.cascade(graph, network, INPUT)
    graph.node("Cast", scores, output=SCORES, to=graph.INT32)
    graph.node("Identity", logits, output=OUTPUT)
    width = (len(network.labels),)
    results: dict[str, tuple[int, Shape]] = {OUTPUT: (graph.FLOAT, width), SCORES: (graph.INT32, width)}
    if network.then:
        graph.node("Identity", stage, output=onnx_integers.STAGE)
        results[onnx_integers.STAGE] = (graph.INT64, ())
    return graph.model(network.name, (INPUT, network.input_shape), results, metadata)


def _layer(graph: Graph, network: QuantizedNetwork, number: int, values: _Values) -> _Values:
    layer = network.layers[number]
    if isinstance(layer, Table | Join | SquaredError):
        raise ModelError("is of tables, or joins others, which is exported in integers")  # where is_exact() sends them
    if not isinstance(layer, Dense):
        values = _image(graph, values, network.shapes[number])
    if isinstance(layer, MaxPool):
        largest = graph.node("MaxPool", values.name, **_moved(layer.window, layer.window.padding))
        return _quantized(graph, largest, values.scale, _zero(network.ranges[number][0], values.zero_point))
    last = number + 1 == len(network.layers)
    by, scale = layer.requantization, np.float32(network.score_scale) if last else HIDDEN_SCALE
    sums = _weighted(graph, layer, number, values, scale)
    active = _activated(graph, sums, layer, number)
    if last:
        return _Values(_bounded(graph, active, by, scale, 0, (INT32_MIN, INT32_MAX)), scale)
    zero = _zero(by.low, by.zero_point)
    limits = np.iinfo(zero.dtype)
    inside = _bounded(graph, active, by, scale, int(zero), (limits.min, limits.max))
    return _quantized(graph, inside, scale, zero)


def _image(graph: Graph, values: _Values, shape: Shape) -> _Values:
    if len(shape) == 3:
        return values
    wanted = graph.constant("image", np.array([-1, *image_shape(shape)], np.int64))
    return _Values(graph.node("Reshape", values.name, wanted), values.scale, values.zero_point)


def _weighted(graph: Graph, layer: Weighted, number: int, values: _Values, scale: np.float32) -> str:
    """What the layer adds up, in real numbers; ``scale`` is that of its outputs."""
    by = layer.requantization
    silent = by.positive == 0
    expect(not by.negative[silent].any(), "has an output with a multiplier for negative sums alone, which ONNX cannot express")
    ratios = np.where(silent, 1.0, np.ldexp(by.positive.astype(np.float64), -by.shift))
    scales = (ratios * float(scale) / float(values.scale)).astype(np.float32)
    integers = np.where(silent.reshape(-1, *(1,) * (layer.weights.ndim - 1)), np.int8(0), layer.weights)
    weights = _parameter(graph, f"layer{number}.weights", integers, scales)
    bias = np.where(silent, 0, layer.bias + values.zero_point * layer.weights.reshape(layer.outputs, -1).sum(1, np.int64))
    expect(int(np.abs(bias).max()) <= INT32_MAX, "has a bias that exceeds int32 once the zero point of its input is subtracted")
    biases = _parameter(graph, f"layer{number}.bias", bias.astype(np.int32), scales * values.scale)
    if isinstance(layer, Dense):
        return graph.node("Gemm", graph.node("Flatten", values.name, axis=1), weights, biases, transB=1)
    name, padding = _padded(graph, layer, values)
    return graph.node("Conv", name, weights, biases, group=layer.groups, **_moved(layer.window, padding))


def _moved(window: Window, padding: tuple[int, ...]) -> dict[str, Any]:
    return {"kernel_shape": window.kernel, "strides": window.stride, "pads": padding}


def _padded(graph: Graph, layer: Conv2d, values: _Values) -> tuple[str, tuple[int, ...]]:
    """The image, and what Conv shall pad it with: it knows 0 alone, so another value goes around the image beforehand."""
    padding = layer.window.padding
    if layer.pad_value == values.zero_point or not any(padding):
        return values.name, padding
    top, left, bottom, right = padding
    edges = graph.constant("edges", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    value = graph.constant("edge", np.float32(layer.pad_value - values.zero_point) * values.scale)
    return graph.node("Pad", values.name, edges, value), (0, 0, 0, 0)


def _activated(graph: Graph, name: str, layer: Weighted, number: int) -> str:
    """LeakyReLU by the ratio of the multipliers, which the arithmetic goes by; channel by channel where they differ."""
    by = layer.requantization
    positive, negative = by.positive.astype(np.float64), by.negative.astype(np.float64)
    slope = negative.sum() / max(positive.sum(), 1.0)
    if np.abs(negative - slope * positive).max() > 1:
        slopes = np.divide(negative, positive, out=np.zeros_like(negative), where=positive > 0).astype(np.float32)
        shaped = slopes.reshape(-1, *(1,) * (layer.weights.ndim - 2))
        return graph.node("PRelu", name, graph.constant(f"layer{number}.slopes", shaped))
    if slope == 0:
        return graph.node("Relu", name)
    return name if slope == 1 else graph.node("LeakyRelu", name, alpha=float(slope))


def _bounded(graph: Graph, name: str, by: Requantization, scale: np.float32, zero_point: int, limits: tuple[int, int]) -> str:
    """The outputs before they are rounded: within ``by``'s range, which is left out where it is ``limits`` anyway.

    ``zero_point`` is the integer that shall stand for 0; ONNX has none outside a dtype, so the rest of ``by``'s is added.
    """
    if by.zero_point != zero_point:
        name = graph.node("Add", name, graph.constant("offset", np.float32(by.zero_point - zero_point) * scale))
    if (by.low, by.high) == limits:
        return name
    bounds = (graph.constant("bound", np.float32(bound - zero_point) * scale) for bound in (by.low, by.high))
    return graph.node("Clip", name, *bounds)


def _zero(low: int, zero_point: int) -> NDArray[Any]:
    """``zero_point``, or what comes nearest to it, in the byte that holds values from ``low`` on; of no dimension."""
    limits = np.iinfo(np.uint8 if low >= 0 else np.int8)
    return np.array(min(max(zero_point, limits.min), limits.max), limits.dtype)


def _quantized(graph: Graph, name: str, scale: np.float32, zero: NDArray[Any]) -> _Values:
    """A real tensor rounded to integers, and read as real numbers again."""
    integers = graph.node("QuantizeLinear", name, graph.constant("scale", scale), graph.constant("zero", zero))
    return _dequantized(graph, integers, scale, zero)


def _dequantized(graph: Graph, name: str, scale: np.float32, zero: NDArray[Any]) -> _Values:
    real = graph.node("DequantizeLinear", name, graph.constant("scale", scale), graph.constant("zero", zero))
    return _Values(real, scale, int(zero))


def _parameter(graph: Graph, name: str, integers: NDArray[Any], scales: NDArray[np.float32]) -> str:
    """Integers with one scale for each of the first axis."""
    return graph.node("DequantizeLinear", graph.constant(name, integers), graph.constant(f"{name}.scales", scales), axis=0)
