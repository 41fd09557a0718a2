"""A quantized network as an ONNX model that computes in integers alone, so that its scores are ours bit for bit.

Graphs, layers of tables and cascades are exported so: a sum that wraps, or a margin that decides, must not be off by one.
Values are int64 [n, values], which every layer's accumulators and products fit (docs/quantization.md, equations 7, 8 and 21).
Windows and groups are gathered. Operators and types are those that onnxruntime has on a CPU: Mul, Div and Max of uint64 it has
not, so the bytes of a word are computed one after the other with their carry, and a shift is a division of what a remainder was
taken off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..network import QuantizedNetwork
from ..network.layers import (
    Add,
    ByteLanes,
    Conv2d,
    Dense,
    Join,
    MaxPool,
    Requantization,
    Shape,
    Single,
    SquaredError,
    Table,
    Window,
    accumulator_bound,
    image_shape,
)
from .graph import Graph
from .onnx_levels import levels

STAGE = "stage"
_LANES = 8
_LOWEST = -(2**40)
"""Stands in the padding of a pool: below every value."""


def cascade(graph: Graph, network: QuantizedNetwork, pixels: str) -> tuple[str, str, str]:
    """The names of the scores, int64 [n, classes], of their logits, float32, and of the stage that decides, int64 [n].

    All networks compute all samples, since a graph has no branch for each: what decides is selected (equation 22).
    """
    scores = _scores(graph, network, pixels)
    scale = graph.constant("scale", np.float32(network.score_scale))
    logits = graph.node("Mul", graph.node("Cast", scores, to=graph.FLOAT), scale)
    first = graph.node("ReduceSum", graph.node("Mul", scores, _number(graph, 0)), _axes(graph, 1), keepdims=0)
    if network.then is None:
        return scores, logits, first
    its_scores, its_logits, its_stage = cascade(graph, network.then.network, pixels)
    best, _ = graph.nodes("TopK", scores, _axes(graph, 2), outputs=2, axis=1)
    lead = graph.node("MatMul", best, graph.constant("lead", np.array([[1], [-1]], np.int64)))
    on = graph.node("Less", lead, _number(graph, network.then.margin))
    deeper = graph.node("Add", its_stage, _number(graph, 1))
    alone = graph.node("Squeeze", on, _axes(graph, 1))
    return (
        graph.node("Where", on, its_scores, scores),
        graph.node("Where", on, its_logits, logits),
        graph.node("Where", alone, deeper, first),
    )


def _scores(graph: Graph, network: QuantizedNetwork, pixels: str) -> str:
    flat = graph.node("Flatten", levels(graph, network.input, pixels), axis=1)
    held = [graph.node("Cast", flat, to=graph.INT64)]
    shapes, ranges = network.shapes, network.ranges
    for layer, sources in zip(network.layers, network.takes, strict=True):
        given = [held[source + 1] for source in sources]
        first = sources[0] + 1
        held.append(
            _join(graph, layer, given)
            if isinstance(layer, Join)
            else _squared_error(graph, *given)
            if isinstance(layer, SquaredError)
            else _layer(graph, layer, shapes[first], given[0], *ranges[first])
        )
    return held[-1]


def _join(graph: Graph, layer: Join, given: list[str]) -> str:
    """Equations 24 and 25: the outputs, int64 [n, outputs], of several values, int64 [n, values] each."""
    by = layer.requantization
    positive, negative = by.positive.astype(np.int64), by.negative.astype(np.int64)
    if isinstance(layer, Add):
        factors = [_number(graph, int(factor)) for factor in layer.factors]
        one, other = (graph.node("Mul", *each) for each in zip(given, factors, strict=True))
        sums = graph.node("Add", graph.node("Add", one, other), _number(graph, int(layer.bias[0])))
        return _requantized(graph, by, sums, positive, negative)
    parts = []
    for number, values in enumerate(given):
        moved = graph.node("Add", values, _number(graph, int(layer.bias[number])))
        parts.append(_requantized(graph, by, moved, positive[[number]], negative[[number]]))
    return graph.node("Concat", *parts, axis=1)


def _squared_error(graph: Graph, one: str, other: str) -> str:
    """Equation 28: the score, int64 [n, 1], of two values, int64 [n, values] each."""
    apart = graph.node("Sub", one, other)
    return graph.node("ReduceSum", graph.node("Mul", apart, apart), _axes(graph, 1), keepdims=1)


def _layer(graph: Graph, layer: Single, shape: Shape, values: str, low: int, high: int) -> str:
    """The outputs, int64 [n, outputs], of values, int64 [n, values]."""
    if isinstance(layer, MaxPool):
        seen = _windows(graph, layer.window, shape, values, _LOWEST)  # [n, channels, places, window]
        return graph.node("Flatten", graph.node("ReduceMax", seen, axes=[3], keepdims=0), axis=1)
    by = layer.requantization
    if isinstance(layer, Conv2d):
        return _convolution(graph, layer, shape, values)
    sums = _dense(graph, layer, values) if isinstance(layer, Dense) else _table(graph, layer, values)
    if isinstance(by, ByteLanes):
        return _byte_lanes(graph, by, sums, layer.outputs, wraps=accumulator_bound(layer, low, high) > 127)
    return _requantized(graph, by, sums, by.positive.astype(np.int64), by.negative.astype(np.int64))


def _dense(graph: Graph, layer: Dense, values: str) -> str:
    products = graph.node("MatMul", values, graph.constant("weights", layer.weights.T.astype(np.int64)))
    return graph.node("Add", products, graph.constant("bias", layer.bias.astype(np.int64)))


def _convolution(graph: Graph, layer: Conv2d, shape: Shape, values: str) -> str:
    """By channel of the output: [n, groups, channels of a group, places]."""
    seen = _windows(graph, layer.window, shape, values, layer.pad_value)  # [n, channels, places, window]
    channels, places = image_shape(shape)[0], int(np.prod(layer.output_shape(shape)[1:]))
    grouped = [-1, layer.groups, channels // layer.groups, places, int(np.prod(layer.window.kernel))]
    split = graph.node("Transpose", _reshaped(graph, seen, grouped), perm=[0, 1, 3, 2, 4])
    joined = _reshaped(graph, split, [-1, layer.groups, places, grouped[2] * grouped[4]])
    weights = layer.weights.reshape(layer.groups, layer.outputs // layer.groups, -1).astype(np.int64)
    sums = graph.node("MatMul", joined, graph.constant("weights", weights.transpose(0, 2, 1)))
    by_channel = _reshaped(graph, graph.node("Transpose", sums, perm=[0, 1, 3, 2]), [-1, layer.outputs, places])
    by = layer.requantization
    biased, positive, negative = (each.astype(np.int64).reshape(-1, 1) for each in (layer.bias, by.positive, by.negative))
    sums = graph.node("Add", by_channel, graph.constant("bias", biased))
    return graph.node("Flatten", _requantized(graph, by, sums, positive, negative), axis=1)


def _windows(graph: Graph, window: Window, shape: Shape, values: str, edge: int) -> str:
    """Every window of images, int64 [n, channels, places, window's values], where ``edge`` stands in the padding."""
    channels, rows, columns = image_shape(shape)
    numbers = np.arange(channels * rows * columns).reshape(channels, rows, columns)
    top, left, bottom, right = window.padding
    edged = np.pad(numbers, ((0, 0), (top, bottom), (left, right)), constant_values=numbers.size)
    every = np.lib.stride_tricks.sliding_window_view(edged, window.kernel, axis=(1, 2))
    chosen = every[:, :: window.stride[0], :: window.stride[1]]
    flat = chosen.reshape(channels, -1, int(np.prod(window.kernel)))
    return graph.node("Gather", _with_one_more(graph, values, edge), graph.constant("windows", flat), axis=1)


def _table(graph: Graph, layer: Table, values: str) -> str:
    """Equation 19."""
    members = layer.order.shape[1]
    above = graph.node("Sub", values, _number(graph, layer.low)) if layer.low else values
    order = np.where(layer.order < 0, layer.inputs, layer.order).astype(np.int64)
    chosen = graph.node("Gather", _with_one_more(graph, above, 0), graph.constant("order", order), axis=1)
    powers = 1 << layer.bits * np.arange(members - 1, -1, -1, dtype=np.int64)
    numbers = graph.node("Squeeze", graph.node("MatMul", chosen, graph.constant("powers", powers[:, None])), _axes(graph, 2))
    rows = layer.tables.shape[1]
    first = graph.constant("first", np.arange(0, layer.groups * rows, rows, dtype=np.int64))
    small = layer.tables.min() >= -128 and layer.tables.max() <= 127
    tables = layer.tables.reshape(-1, layer.outputs).astype(np.int8 if small else np.int16)
    selected = graph.node("Gather", graph.constant("tables", tables), graph.node("Add", numbers, first), axis=0)
    sums = graph.node("ReduceSum", graph.node("Cast", selected, to=graph.INT64), _axes(graph, 1), keepdims=0)
    return graph.node("Add", sums, graph.constant("bias", layer.bias.astype(np.int64)))


def _byte_lanes(graph: Graph, by: ByteLanes, sums: str, outputs: int, *, wraps: bool) -> str:
    """Equation 20: bytes, shifted, int64 [n, outputs]."""
    lanes = graph.node("Add", sums, _number(graph, 128))
    if wraps:
        lanes = _carried(graph, lanes, outputs)
    return graph.node("Div", lanes, _number(graph, 1 << by.shift)) if by.shift else lanes


def _carried(graph: Graph, lanes: str, outputs: int) -> str:
    """The bytes of the words: each lane with the carry of the one below it, which is negative where that is."""
    words = -(-outputs // _LANES)
    pads = graph.constant("pads", np.array([0, 0, 0, words * _LANES - outputs], np.int64))
    whole = _reshaped(graph, graph.node("Pad", lanes, pads, _number(graph, 0)), [-1, words, _LANES])
    carry, found = "", []
    for place in range(_LANES):
        lane = graph.node("Gather", whole, graph.constant("place", np.array([place])), axis=2)
        lane = graph.node("Add", lane, carry) if carry else lane
        found.append(graph.node("Mod", lane, _number(graph, 256)))
        carry = graph.node("Div", graph.node("Sub", lane, found[-1]), _number(graph, 256))
    joined = _reshaped(graph, graph.node("Concat", *found, axis=2), [-1, words * _LANES])
    return graph.node("Gather", joined, graph.constant("outputs", np.arange(outputs)), axis=1)


def _requantized(graph: Graph, by: Requantization, sums: str, positive: NDArray[np.int64], negative: NDArray[np.int64]) -> str:
    """Equations 5, 6 and 26; the multipliers are shaped to broadcast against ``sums``."""
    below = graph.node("Less", sums, _number(graph, 0))
    factors = graph.node("Where", below, graph.constant("negative", negative), graph.constant("positive", positive))
    product = graph.node("Add", graph.node("Mul", sums, factors), _number(graph, 1 << (by.shift - 1)))
    divisor = _number(graph, 1 << by.shift)
    # Div truncates, and of a multiple of the divisor nothing is truncated. The remainder has the sign of the divisor.
    value = graph.node("Div", graph.node("Sub", product, graph.node("Mod", product, divisor)), divisor)
    value = graph.node("Add", value, _number(graph, by.zero_point)) if by.zero_point else value
    value = graph.node("Clip", value, _number(graph, by.low), _number(graph, by.high))
    if by.activation is None:
        return value
    byte = graph.node("Mod", value, _number(graph, 256))
    return graph.node("Gather", graph.constant("activation", by.activation.astype(np.int64)), byte, axis=0)


def _with_one_more(graph: Graph, values: str, value: int) -> str:
    """``values``, int64 [n, values], with ``value`` as one more at the end."""
    return graph.node("Pad", values, graph.constant("pads", np.array([0, 0, 0, 1], np.int64)), _number(graph, value))


def _reshaped(graph: Graph, values: str, shape: list[int]) -> str:
    return graph.node("Reshape", values, graph.constant("shape", np.array(shape, np.int64)))


def _axes(graph: Graph, *axes: int) -> str:
    return graph.constant("axes", np.array(axes, np.int64))


def _number(graph: Graph, value: int) -> str:
    return graph.constant("number", np.int64(value))
