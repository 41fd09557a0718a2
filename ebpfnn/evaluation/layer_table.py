"""The main figures of each layer: its size, its computation, and how close its sums come to the int32 range."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..network import QuantizedNetwork
from ..network.layers import Conv2d, Dense, Layer, MaxPool, Shape, Weighted, Window, accumulator_bound, describe


@dataclass(frozen=True)
class LayerRow:
    """A row of the table. ``size`` is in bytes: weights, biases, multipliers. ``bound`` is the largest |accumulator|."""

    kind: str
    given: str
    gives: str
    macs: int
    density: float | None
    window: str = ""
    parameters: int = 0
    size: int = 0
    bound: int | None = None
    values: str = ""
    slope: float | None = None


def layer_rows(network: QuantizedNetwork) -> list[LayerRow]:
    """One row per layer."""
    rows = []
    density = network.density or (None,) * len(network.layers)
    each = zip(network.layers, network.shapes, network.shapes[1:], network.ranges, density, strict=False)
    for layer, given, gives, (low, high), share in each:
        row = _row(layer, given, gives, share)
        rows.append(row if isinstance(layer, MaxPool) else _with_weights(row, layer, low, high))
    return rows


def _row(layer: Layer, given: Shape, gives: Shape, density: float | None) -> LayerRow:
    window = "" if isinstance(layer, Dense) else _window(layer.window)
    return LayerRow(_kind(layer), describe(given), describe(gives), layer.macs(given), density, window)


def _with_weights(row: LayerRow, layer: Weighted, low: int, high: int) -> LayerRow:
    by = layer.requantization
    return replace(
        row,
        parameters=layer.weights.size + layer.bias.size,
        size=sum(array.nbytes for array in (layer.weights, layer.bias, by.positive, by.negative)),
        bound=accumulator_bound(layer, low, high),
        values=f"{by.low} to {by.high}" if by.one_byte else "int32",
        slope=by.slope,
    )


def _kind(layer: Layer) -> str:
    if isinstance(layer, Conv2d):
        return "convolution" if layer.groups == 1 else f"convolution, {layer.groups} groups"
    return "dense" if isinstance(layer, Dense) else "max pool"


def _window(window: Window) -> str:
    moved = "" if window.stride == (1, 1) else f", stride {describe(window.stride)}"
    edges = window.padding if len(set(window.padding)) > 1 else window.padding[:1]
    edge = f", padding {' '.join(map(str, edges))}" if any(edges) else ""
    return describe(window.kernel) + moved + edge
