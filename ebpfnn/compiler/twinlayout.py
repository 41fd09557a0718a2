"""The structs and arrays of bpf/include/ebpfnn/nn_network.h for a network, stage after stage."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..network import QuantizedNetwork, encoding
from ..network.inputformat import InputFormat
from ..network.joins import MOST_JOINED
from ..network.layers import (
    Add,
    ByteLanes,
    Concat,
    Conv2d,
    Dense,
    Join,
    Layer,
    MaxPool,
    Requantization,
    Shape,
    SquaredError,
    Table,
    Unscaled,
    Weighted,
    image_shape,
)

_GROUPS = "3Ii3I"  # struct nn_groups
_SOURCE = struct.Struct("<3Ii")  # struct nn_source
_LAYER = struct.Struct("<20I4i2I" + _GROUPS + "3I" + f"{MOST_JOINED * _SOURCE.size}s")  # struct nn_layer
_STAGE = struct.Struct("<4I16s3I2Ii")  # struct nn_stage, in which struct nn_input is first
_KINDS = {Dense: 0, Conv2d: 1, MaxPool: 2, Table: 3, Add: 4, Concat: 5, SquaredError: 6}  # enum nn_kind
_SAMPLE = _NO_INPUT = 0xFFFFFFFF
Arrays = list[NDArray[np.generic]]


def stage_table(stages: Sequence[QuantizedNetwork]) -> bytes:
    """``struct nn_stage`` for each stage."""
    table, own, layers = b"", 0, 0
    for stage in stages:
        margin = stage.then.margin if stage.then else 0
        table += _STAGE.pack(*_input(stage.input, own), layers, len(stage.layers), margin)
        own, layers = own + own_thresholds(stage.input).size, layers + len(stage.layers)
    return table


def layer_table(stages: Sequence[QuantizedNetwork]) -> bytes:
    """``struct nn_layer`` for each layer. The maps of the last layers hold only those, so their indices are other ones."""
    table, hidden, last, tables = b"", _Indices(), _Indices(), _Rows()
    for stage in stages:
        shapes, ranges, held = stage.shapes, stage.ranges, held_places(stage)
        for number, (layer, sources) in enumerate(zip(stage.layers, stage.takes, strict=True), 1):
            first = (last if number == len(stage.layers) else hidden).take(layer)
            taken = [(held[source + 1], shapes[source + 1], ranges[source + 1]) for source in sources]
            geometry = _geometry(layer, *(shape for _, shape, _ in taken))
            numbers = *geometry, *first, *_numbers(layer), _sign_bit(taken[0][2])
            joined = _sources(layer, taken) if isinstance(layer, Join | SquaredError) else b""
            graph = taken[0][0], held[number], len(joined) // _SOURCE.size, joined
            table += _LAYER.pack(_KINDS[type(layer)], *numbers, *tables.take(layer), *graph)
    return table


def held_places(stage: QuantizedNetwork) -> list[int]:
    """Where in the workspace the sample is, and what each layer gives, in bytes.

    A chain has all of it at the start, one after the other. A graph keeps it all. A sample that levels are not computed of is
    not there.
    """
    levels = stage.input.bits < 8
    if not stage.sources:
        return [0 if levels else _SAMPLE] + [0] * len(stage.layers)
    ends = list(accumulate(map(prod, stage.shapes[1:]), initial=stage.input.size if levels else 0))
    return [0 if levels else _SAMPLE, *ends[:-1]]


def _sign_bit(ends: tuple[int, int]) -> int:
    return 0x80 if ends[0] < 0 else 0


def _sources(layer: Join | SquaredError, taken: Sequence[tuple[int, Shape, tuple[int, int]]]) -> bytes:
    """``struct nn_source`` for each."""
    factors = layer.factors.tolist() if isinstance(layer, Add) else [1] * len(taken)
    each = zip(taken, factors, strict=True)
    return b"".join(_SOURCE.pack(place, prod(shape), _sign_bit(ends), factor) for (place, shape, ends), factor in each)


def own_thresholds(given: InputFormat) -> NDArray[np.uint8]:
    """Less one, in the order of the values; none where samples arrive as levels."""
    own = () if given.packed else given.value_thresholds
    return (np.array(own, np.int64) - 1).astype(np.uint8)


def places(given: InputFormat) -> NDArray[np.uint32]:
    """Of each value among the levels of a packed sample (equation 18); none where it is the value's own number."""
    return encoding.places(given.order).astype(np.uint32)


def parameters(layers: Sequence[Layer], naive: bool) -> dict[str, Arrays]:
    """The arrays of ``struct nn_parameters`` by name, for the layers of a part of a network."""
    summed = [layer for layer in layers if not isinstance(layer, Unscaled)]
    return {
        "weights": [_weights(layer, naive) for layer in summed if isinstance(layer, Weighted)],
        "bias": [layer.bias for layer in summed],
        "multipliers": [_multipliers(layer.requantization, len(layer.bias)) for layer in summed],
    }


def rows(stages: Sequence[QuantizedNetwork]) -> Arrays:
    """The tables of all layers of tables, and the activation tables of others, layer after layer."""
    found: Arrays = []
    for stage in stages:
        for layer in stage.layers:
            table = layer.tables if isinstance(layer, Table) else _activation(layer)
            found += [] if table is None else [table]
    return found


def _activation(layer: Layer) -> NDArray[np.int16] | None:
    return layer.requantization.activation if isinstance(layer, Dense | Conv2d) else None


def orders(stages: Sequence[QuantizedNetwork]) -> Arrays:
    """The inputs of the groups of all layers of tables."""
    return [np.where(layer.order < 0, _NO_INPUT, layer.order).astype(np.uint32) for layer in _tables(stages)]


def _tables(stages: Sequence[QuantizedNetwork]) -> list[Table]:
    return [layer for stage in stages for layer in stage.layers if isinstance(layer, Table)]


class _Indices:
    """Where the next layer's elements begin in the arrays of ``struct nn_parameters``."""

    def __init__(self) -> None:
        self.weights = self.channels = 0

    def take(self, layer: Layer) -> tuple[int, int]:
        found = self.weights, self.channels
        self.weights += layer.weights.size if isinstance(layer, Dense | Conv2d) else 0
        self.channels += 0 if isinstance(layer, Unscaled) else len(layer.bias)
        return found


class _Rows:
    """Where the next layer's tables begin, and its order."""

    def __init__(self) -> None:
        self.order = self.rows = 0

    def take(self, layer: Layer) -> tuple[int, ...]:
        """``activation``, and ``struct nn_groups``."""
        if not isinstance(layer, Table):
            table, first = _activation(layer), self.rows
            self.rows += 0 if table is None else table.size
            return (0 if table is None else first + 1, *(0,) * 7)
        found = *layer.order.shape, layer.bits, layer.low, self.order, self.rows
        self.order, self.rows = self.order + layer.order.size, self.rows + layer.tables.size
        return 0, *found, isinstance(layer.requantization, ByteLanes)


def _geometry(layer: Layer, *shapes: Shape) -> tuple[int, ...]:
    """From ``input`` to ``group_outputs``. What joins others gives one channel."""
    if isinstance(layer, Join | SquaredError):
        return 1, 1, prod(shapes[0]), 1, 1, prod(layer.output_shape(*shapes)), *(0,) * 10
    (shape,) = shapes
    if isinstance(layer, Dense | Table):
        return layer.inputs, 1, 1, layer.outputs, 1, 1, *(0,) * 10
    window, output = layer.window, image_shape(layer.output_shape(shape))
    groups = (layer.inputs // layer.groups, layer.outputs // layer.groups) if isinstance(layer, Conv2d) else (1, 1)
    return *image_shape(shape), *output, *window.kernel, *window.stride, *window.padding, *groups


def _numbers(layer: Layer) -> tuple[int, ...]:
    """From ``shift`` to ``pad_value``."""
    if isinstance(layer, Unscaled):
        return (0,) * 5
    by = layer.requantization
    zero_point = by.zero_point if isinstance(by, Requantization) else 0
    return by.shift, by.low, by.high, zero_point, layer.pad_value if isinstance(layer, Conv2d) else 0


def _input(given: InputFormat, first_own: int) -> tuple[int | bytes, ...]:
    flip = 8 - given.bits if given.bit_order == "big" else 0
    own = bool(given.value_thresholds) and not given.packed
    return given.size, given.bits, given.packed, flip, bytes(given.thresholds), own, first_own, bool(given.order)


def _weights(layer: Dense | Conv2d, naive: bool) -> NDArray[np.int8]:
    return layer.weights.T if isinstance(layer, Dense) and not naive else layer.weights


def _multipliers(by: Requantization | ByteLanes, outputs: int) -> NDArray[np.int32]:
    """Those of byte lanes are there and 0, so that channels have one index in all arrays."""
    if isinstance(by, ByteLanes):
        return np.zeros((outputs, 2), np.int32)
    return np.stack([by.positive, by.negative], axis=1)
