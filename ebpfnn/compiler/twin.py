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
from ..network.inputformat import InputFormat
from ..network.layers import Conv2d, Dense, Layer, MaxPool, Shape, Weighted, expect, image_shape
from ..obj import ObjectSpec
from .body import Body

MAX_LAYERS = 16
"""EBPFNN_MAX_LAYERS of bpf/include/ebpfnn/parameters.h."""
MAX_INPUTS = 1 << 16
"""The most inputs that the twin's list of non-zero inputs can hold, with 16 bits per index."""
VERIFIER_WALKS = 1_000_000
"""The most instructions that a kernel's verifier walks: BPF_COMPLEXITY_LIMIT_INSNS (include/linux/bpf.h, Linux 5.2)."""
_LAYER = struct.Struct("<20I4iI")  # struct nn_layer
_INPUT = struct.Struct("<4I16sI")  # struct nn_input
_KINDS = {Dense: 0, Conv2d: 1, MaxPool: 2}  # enum nn_kind


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
    name, depth, inputs = network.name, len(network.layers), _widest_dense_input(network)
    expect(depth <= MAX_LAYERS, f"network '{name}' has {depth} layers; the C twin takes at most {MAX_LAYERS}")
    expect(
        inputs <= MAX_INPUTS, f"network '{name}' has {inputs} inputs to a dense layer; the C twin takes at most {MAX_INPUTS}"
    )
    spec = copy.copy(read_built("naive" if naive else "network"))
    spec.maps = dict(spec.maps)
    widest = {"input": inputs, "output": _widest_output(network), "edged": _widest_edged(network)}
    for what, count in {"nn_depth": depth, **{f"nn_widest_{side}": count for side, count in widest.items()}}.items():
        spec.set_variable(what, struct.pack("<I", count))
    spec.set_variable("nn_input", _input(network.input))
    spec.set_variable("nn_layers", b"".join(_layer_table(network)).ljust(MAX_LAYERS * _LAYER.size, b"\0"))
    _contents(spec, "nn_own_thresholds", [_own_thresholds(network.input)])
    _fill(spec, "hidden", network.layers[:-1], naive)
    _fill(spec, "output", network.layers[-1:], naive)
    return spec


def workspace_size(network: QuantizedNetwork) -> int:
    """The size of the workspace behind a result: ``struct nn_workspace`` of bpf/include/ebpfnn/nn.h."""
    integer, index, byte = 4, 2, 1
    levels = network.input.size if network.input.bits < 8 else 0
    integers, bytes_ = _widest_output(network) + _widest_edged(network), max(_widest_output(network), levels)
    return integer * integers + index * _widest_dense_input(network) + byte * bytes_


def _layer_table(network: QuantizedNetwork) -> list[bytes]:
    """``struct nn_layer`` for each layer. The maps of the last layer hold only that layer, so indices restart at 0."""
    table = []
    weights = channels = 0
    for number, (layer, shape, (low, _)) in enumerate(zip(network.layers, network.shapes, network.ranges, strict=False), 1):
        first = (0, 0) if number == len(network.layers) else (weights, channels)
        table.append(
            _LAYER.pack(_KINDS[type(layer)], *_geometry(layer, shape), *first, *_numbers(layer), 0x80 if low < 0 else 0)
        )
        if not isinstance(layer, MaxPool):
            weights, channels = weights + layer.weights.size, channels + layer.outputs
    return table


def verifier_steps(network: QuantizedNetwork) -> int:
    """The approximate number of instructions (± 25 %) that a verifier walks: it walks every iteration of every loop.

    Fitted to the counts of Linux 6.18 (``verified_insns``) for networks of every kind of layer.
    """
    steps = 0
    for layer, shape in zip(network.layers, network.shapes, strict=False):
        outputs = prod(layer.output_shape(shape))
        compared = outputs * prod(layer.window.kernel) if isinstance(layer, MaxPool) else 0
        listed = layer.inputs if isinstance(layer, Dense) else 0
        activated = 0 if isinstance(layer, MaxPool) else outputs
        steps += 10 * layer.macs(shape) + 45 * listed + 20 * (compared + _edged(layer, shape)) + 60 * activated
    return steps


def _geometry(layer: Layer, shape: Shape) -> tuple[int, ...]:
    """From ``input`` to ``group_outputs``."""
    if isinstance(layer, Dense):
        return layer.inputs, 1, 1, layer.outputs, 1, 1, *(0,) * 10
    window, output = layer.window, image_shape(layer.output_shape(shape))
    groups = (layer.inputs // layer.groups, layer.outputs // layer.groups) if isinstance(layer, Conv2d) else (1, 1)
    return *image_shape(shape), *output, *window.kernel, *window.stride, *window.padding, *groups


def _numbers(layer: Layer) -> tuple[int, ...]:
    """From ``shift`` to ``pad_value``."""
    if isinstance(layer, MaxPool):
        return (0,) * 5
    by = layer.requantization
    return by.shift, by.low, by.high, by.zero_point, layer.pad_value if isinstance(layer, Conv2d) else 0


def _input(given: InputFormat) -> bytes:
    flip = 8 - given.bits if given.bit_order == "big" else 0
    own = bool(given.value_thresholds) and not given.packed
    return _INPUT.pack(given.size, given.bits, given.packed, flip, bytes(given.thresholds), own)


def _own_thresholds(given: InputFormat) -> NDArray[np.uint8]:
    """Less one, in the order of the values; none where samples arrive as levels."""
    own = () if given.packed else given.value_thresholds
    return (np.array(own, np.int64) - 1).astype(np.uint8)


def _widest_dense_input(network: QuantizedNetwork) -> int:
    return max((layer.inputs for layer in network.layers if isinstance(layer, Dense)), default=0)


def _widest_output(network: QuantizedNetwork) -> int:
    return max(map(prod, network.shapes[1:]))


def _widest_edged(network: QuantizedNetwork) -> int:
    """The maximum number of values of an image, including edges."""
    return max((_edged(layer, shape) for layer, shape in zip(network.layers, network.shapes, strict=False)), default=0)


def _edged(layer: Layer, shape: Shape) -> int:
    if isinstance(layer, Dense):
        return 0
    channels, rows, columns = image_shape(shape)
    top, left, bottom, right = layer.window.padding
    return channels * (top + rows + bottom) * (left + columns + right)


def _fill(spec: ObjectSpec, part: str, layers: Sequence[Layer], naive: bool) -> None:
    """Fills and freezes the three maps of a part: a loaded network is immutable."""
    weighted = [layer for layer in layers if not isinstance(layer, MaxPool)]
    _contents(spec, f"nn_{part}_weights", [_ordered(layer, naive) for layer in weighted])
    _contents(spec, f"nn_{part}_bias", [layer.bias for layer in weighted])
    multipliers = [np.stack([by.positive, by.negative], axis=1) for by in (layer.requantization for layer in weighted)]
    _contents(spec, f"nn_{part}_multipliers", multipliers)


def _ordered(layer: Weighted, naive: bool) -> NDArray[np.int8]:
    return layer.weights.T if isinstance(layer, Dense) and not naive else layer.weights


def _contents(spec: ObjectSpec, name: str, arrays: Sequence[NDArray[np.int8 | np.uint8 | np.int32]]) -> None:
    contents = b"".join(array.tobytes() for array in arrays) or bytes(8)  # a map cannot have 0 bytes
    spec.resize_map(name, value_size=len(contents))
    spec.maps[name] = replace(spec.maps[name], contents=contents, frozen=True)
