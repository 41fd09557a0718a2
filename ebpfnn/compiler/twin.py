"""A network as the C twin that clang built: the object is the same for every network, and its maps are filled."""

from __future__ import annotations

import copy
import struct
from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..built import read_built
from ..network import QuantizedNetwork
from ..network.layers import Conv2d, Dense, Join, Layer, MaxPool, Shape, SquaredError, Table, Unscaled, expect, image_shape
from ..obj import ObjectSpec
from .body import Body
from .twinlayout import held_places, layer_table, orders, own_thresholds, parameters, places, rows, stage_table

MAX_LAYERS = 16
"""EBPFNN_MAX_LAYERS of bpf/include/ebpfnn/parameters.h: those of all stages of a cascade."""
MAX_INPUTS = 1 << 16
"""The most inputs that the twin's list of non-zero inputs can hold, with 16 bits per index."""
VERIFIER_WALKS = 1_000_000
"""The most instructions that a kernel's verifier walks: BPF_COMPLEXITY_LIMIT_INSNS (include/linux/bpf.h, Linux 5.2)."""


def build_twin(network: QuantizedNetwork, *, naive: bool = False) -> Body:
    """Builds ``ebpfnn_infer`` for ``network`` in readable C; ``naive`` uses the plain triple loop, the benchmark baseline.

    Raises :class:`ModelError` for a network with more layers, or a dense layer with more inputs, than the twin supports, and
    for one that far exceeds what a kernel's verifier walks. A network that exceeds it by little is refused by the kernel.
    """
    steps = verifier_steps(network)
    fact = f"network '{network.name}' ({network.architecture}) takes a verifier some {steps:,} steps in C"
    expect(steps <= VERIFIER_WALKS * 3 // 2, f"{fact}, and it walks {VERIFIER_WALKS:,}; use fewer or narrower layers")
    return Body(lay_out(network, naive=naive), workspace_size(network))


def lay_out(network: QuantizedNetwork, *, naive: bool = False) -> ObjectSpec:
    """The object of :func:`build_twin`, with variables set and maps filled and frozen, without a check of the verifier's limit.

    Raises :class:`ModelError` for a network with more layers, or a dense layer with more inputs, than the twin supports.
    """
    name, stages, inputs = network.name, network.stages, _widest_dense_input(network)
    depth = sum(len(stage.layers) for stage in stages)
    expect(depth <= MAX_LAYERS, f"network '{name}' has {depth} layers; the C twin takes at most {MAX_LAYERS}")
    expect(
        inputs <= MAX_INPUTS, f"network '{name}' has {inputs} inputs to a dense layer; the C twin takes at most {MAX_INPUTS}"
    )
    spec = copy.copy(read_built("naive" if naive else "network"))
    spec.maps = dict(spec.maps)
    widest = {"input": inputs, "output": _widest_output(network), "edged": _widest_edged(network)}
    for what, count in {"nn_depth": len(stages), **{f"nn_widest_{side}": count for side, count in widest.items()}}.items():
        spec.set_variable(what, struct.pack("<I", count))
    for what, table in {"nn_stages": stage_table(stages), "nn_layers": layer_table(stages)}.items():
        spec.set_variable(what, table.ljust(spec.variables[what].size, b"\0"))
    _contents(spec, "nn_own_thresholds", [own_thresholds(stage.input) for stage in stages])
    _contents(spec, "nn_places", [places(network.input)])
    _contents(spec, "nn_tables", rows(stages))
    _contents(spec, "nn_order", orders(stages))
    for part, layers in (("hidden", slice(None, -1)), ("output", slice(-1, None))):
        for kind, arrays in parameters([layer for stage in stages for layer in stage.layers[layers]], naive).items():
            _contents(spec, f"nn_{part}_{kind}", arrays)
    return spec


def workspace_size(network: QuantizedNetwork) -> int:
    """The size of the workspace behind a result: ``struct nn_workspace`` of bpf/include/ebpfnn/nn.h."""
    integer, index, byte = 4, 2, 1
    levels = max(stage.input.size if stage.input.bits < 8 else 0 for stage in network.stages)
    kept = max(held_places(stage)[-1] + prod(stage.shapes[-1]) for stage in network.stages)
    integers, bytes_ = _widest_output(network) + _widest_edged(network), max(_widest_output(network), levels, kept)
    return integer * integers + index * _widest_dense_input(network) + byte * bytes_


def verifier_steps(network: QuantizedNetwork) -> int:
    """The approximate number of instructions (± 25 %) that a verifier walks: it walks every iteration of every loop.

    Fitted to the counts of Linux 6.18 (``verified_insns``) for networks of every kind of layer.
    """
    return sum(_layer_steps(layer, *shapes) for stage in network.stages for layer, shapes in _given(stage))


def _layer_steps(layer: Layer, *shapes: Shape) -> int:
    outputs = prod(layer.output_shape(*shapes))
    if isinstance(layer, Join):
        return 70 * outputs
    if isinstance(layer, SquaredError):
        return 10 * prod(shapes[0])
    (shape,) = shapes
    if isinstance(layer, Table):
        return 45 * layer.order.size + layer.groups * (65 + 8 * outputs) + 75 * outputs
    compared = outputs * prod(layer.window.kernel) if isinstance(layer, MaxPool) else 0
    listed = layer.inputs if isinstance(layer, Dense) else 0
    activated = 0 if isinstance(layer, Unscaled) else outputs
    return 10 * layer.macs(shape) + 45 * listed + 20 * (compared + _edged(layer, shape)) + 60 * activated


def _given(stage: QuantizedNetwork) -> Sequence[tuple[Layer, tuple[Shape, ...]]]:
    """Each layer, and the shapes of what it is given."""
    return [(layer, stage.given_shapes(number)) for number, layer in enumerate(stage.layers)]


def _widest_dense_input(network: QuantizedNetwork) -> int:
    dense = [layer for stage in network.stages for layer in stage.layers if isinstance(layer, Dense)]
    return max((layer.inputs for layer in dense), default=0)


def _widest_output(network: QuantizedNetwork) -> int:
    return max(prod(shape) for stage in network.stages for shape in stage.shapes[1:])


def _widest_edged(network: QuantizedNetwork) -> int:
    """The maximum number of values of an image, including edges."""
    return max(_edged(layer, shapes[0]) for stage in network.stages for layer, shapes in _given(stage))


def _edged(layer: Layer, shape: tuple[int, ...]) -> int:
    if not isinstance(layer, Conv2d | MaxPool):
        return 0
    channels, rows, columns = image_shape(shape)
    top, left, bottom, right = layer.window.padding
    return channels * (top + rows + bottom) * (left + columns + right)


def _contents(spec: ObjectSpec, name: str, arrays: Sequence[NDArray[np.generic]]) -> None:
    """Fills and freezes a map: a loaded network is immutable."""
    contents = b"".join(array.tobytes() for array in arrays) or bytes(8)  # a map cannot have 0 bytes
    spec.resize_map(name, value_size=len(contents))
    spec.maps[name] = replace(spec.maps[name], contents=contents, frozen=True)
