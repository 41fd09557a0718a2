"""The main figures of each layer: its size, its computation, and how close its sums come to the int32 range."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from ..network import QuantizedNetwork
from ..network.errorlayer import error_bound
from ..network.joins import join_bound
from ..network.layers import (
    Add,
    ByteLanes,
    Conv2d,
    Dense,
    Join,
    Layer,
    MaxPool,
    Shape,
    SquaredError,
    Table,
    Weighted,
    Window,
    accumulator_bound,
    describe,
)
from .table_facts import TableFacts, facts


@dataclass(frozen=True)
class LayerRow:
    """A row of the table. ``size`` is in bytes: weights, biases, multipliers. ``bound`` is the largest |accumulator|.

    Of a graph, ``sources`` are the layers whose values it is given. Of a layer of tables, ``parameters`` and ``size`` count the
    stored rows, and ``tables`` tells more.
    """

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
    tables: TableFacts | None = None
    sources: tuple[int, ...] | None = None


def layer_rows(network: QuantizedNetwork) -> list[LayerRow]:
    """One row per layer of ``network``; of a cascade, those of the first network."""
    rows = []
    density = network.density or (None,) * len(network.layers)
    shapes, ranges = network.shapes, network.ranges
    for layer, sources, gives, share in zip(network.layers, network.takes, shapes[1:], density, strict=True):
        taken = [(shapes[source + 1], ranges[source + 1]) for source in sources]
        given, (low, high) = taken[0]
        row = _row(layer, [shape for shape, _ in taken], gives, share)
        if network.sources:
            row = replace(row, sources=sources)
        if isinstance(layer, Join):
            rows.append(_with_join(row, layer, tuple(ends for _, ends in taken)))
        elif isinstance(layer, SquaredError):
            bound = error_bound(prod(given), tuple(ends for _, ends in taken))
            rows.append(replace(row, bound=bound, values="int32"))
        elif isinstance(layer, Table):
            rows.append(_with_tables(row, layer, given, low, high))
        else:
            rows.append(row if isinstance(layer, MaxPool) else _with_weights(row, layer, low, high))
    return rows


def _row(layer: Layer, given: list[Shape], gives: Shape, density: float | None) -> LayerRow:
    window = _window(layer.window) if isinstance(layer, Conv2d | MaxPool) else ""
    return LayerRow(_kind(layer), " + ".join(map(describe, given)), describe(gives), layer.macs(*given), density, window)


def _with_join(row: LayerRow, layer: Join, ranges: tuple[tuple[int, int], ...]) -> LayerRow:
    by = layer.requantization
    arrays = (*((layer.factors,) if isinstance(layer, Add) else ()), layer.bias, by.positive, by.negative)
    return replace(
        row,
        size=sum(array.nbytes for array in arrays),
        bound=join_bound(layer, ranges),
        values=f"{by.low} to {by.high}" if by.one_byte else "int32",
        slope=by.slope,
    )


def _with_weights(row: LayerRow, layer: Weighted, low: int, high: int) -> LayerRow:
    by = layer.requantization
    return replace(
        row,
        parameters=layer.weights.size + layer.bias.size,
        size=sum(array.nbytes for array in (layer.weights, layer.bias, by.positive, by.negative)),
        bound=accumulator_bound(layer, low, high),
        values=f"{by.lowest} to {by.highest}" if by.one_byte else "int32",
        slope=None if by.function else by.slope,
        kind=", ".join(filter(None, (row.kind, by.function))),
    )


def _with_tables(row: LayerRow, layer: Table, given: Shape, low: int, high: int) -> LayerRow:
    by, about = layer.requantization, facts(layer, given)
    stored = layer.tables[layer.tables.any(axis=2)]
    wide = bool(stored.size) and bool((stored.min() < -128) | (stored.max() > 127))
    factors = () if isinstance(by, ByteLanes) else (by.positive, by.negative)
    return replace(
        row,
        parameters=stored.size + layer.bias.size,
        size=stored.size * (1 + wide) + sum(array.nbytes for array in (layer.bias, *factors)),
        bound=accumulator_bound(layer, low, high),
        values=f"{by.low} to {by.high}" if by.one_byte else "int32",
        slope=None if isinstance(by, ByteLanes) else by.slope,
        tables=about,
    )


def _kind(layer: Layer) -> str:
    if isinstance(layer, Table):
        return "tables"
    if isinstance(layer, Join):
        return "sum" if isinstance(layer, Add) else "channels side by side"
    if isinstance(layer, SquaredError):
        return "squared error"
    if isinstance(layer, Conv2d):
        return "convolution" if layer.groups == 1 else f"convolution, {layer.groups} groups"
    return "dense" if isinstance(layer, Dense) else "max pool"


def _window(window: Window) -> str:
    moved = "" if window.stride == (1, 1) else f", stride {describe(window.stride)}"
    edges = window.padding if len(set(window.padding)) > 1 else window.padding[:1]
    edge = f", padding {' '.join(map(str, edges))}" if any(edges) else ""
    return describe(window.kernel) + moved + edge
