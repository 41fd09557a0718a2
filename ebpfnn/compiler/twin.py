"""A network as the clang-built C twin: the object is the same for every network, its maps are not."""

from __future__ import annotations

import copy
import struct
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..built import read_built
from ..errors import ModelError
from ..network import Dense, QuantizedNetwork
from ..obj import ObjectSpec

MAX_LAYERS = 8
"""EBPFNN_MAX_LAYERS of bpf/include/ebpfnn/parameters.h."""
MAX_INPUTS = 1 << 16
"""What the twin's list of non-zero inputs, 16 bits an index, can name."""
_LAYER = struct.Struct("<5I2iI")  # struct nn_layer


def build_twin(network: QuantizedNetwork, *, naive: bool = False) -> ObjectSpec:
    """``ebpfnn_infer`` for ``network``, in readable C; ``naive`` takes the plain triple loop, the benchmarks' baseline.

    Raises :class:`ModelError` for a network of more layers, or a layer of more inputs, than the twin has room for.
    """
    if len(network.layers) > MAX_LAYERS:
        raise ModelError(f"network '{network.name}' has {len(network.layers)} layers; the C twin takes at most {MAX_LAYERS}")
    if _widest_input(network) > MAX_INPUTS:
        raise ModelError(f"network '{network.name}' has {_widest_input(network)} inputs; the C twin takes at most {MAX_INPUTS}")
    spec = copy.copy(read_built("naive" if naive else "network"))
    spec.maps = dict(spec.maps)
    spec.set_variable("depth", struct.pack("<I", len(network.layers)))
    spec.set_variable("widest_input", struct.pack("<I", _widest_input(network)))
    spec.set_variable("widest_output", struct.pack("<I", _widest_output(network)))
    spec.set_variable("layers", _layer_table(network).ljust(MAX_LAYERS * _LAYER.size, b"\0"))
    _fill(spec, "hidden", network.layers[:-1], naive)
    _fill(spec, "output", network.layers[-1:], naive)
    return spec


def workspace_size(network: QuantizedNetwork) -> int:
    """Bytes behind a result that the twin computes in: ``struct nn_workspace`` of bpf/include/ebpfnn/nn.h."""
    accumulator, activation, index = 4, 1, 2
    return (accumulator + activation) * _widest_output(network) + index * _widest_input(network)


def _widest_input(network: QuantizedNetwork) -> int:
    return max(layer.inputs for layer in network.layers)


def _widest_output(network: QuantizedNetwork) -> int:
    return max(layer.outputs for layer in network.layers)


def _layer_table(network: QuantizedNetwork) -> bytes:
    """``struct nn_layer`` for each layer. First indices start anew in the output's maps, which hold one layer."""
    table = b""
    weights = channels = 0
    signed = False
    for number, layer in enumerate(network.layers, 1):
        if number == len(network.layers):
            weights = channels = 0
        sign_bit = 0x80 if signed else 0
        table += _LAYER.pack(layer.inputs, layer.outputs, weights, channels, layer.shift, layer.low, layer.high, sign_bit)
        weights, channels, signed = weights + layer.weights.size, channels + layer.outputs, layer.signed
    return table


def _fill(spec: ObjectSpec, part: str, layers: tuple[Dense, ...], naive: bool) -> None:
    """Gives a part's three maps their contents, and freezes them: a loaded network is immutable."""
    orders = [layer.weights if naive else layer.weights.T for layer in layers]
    _contents(spec, f"{part}_weights", [np.ascontiguousarray(weights) for weights in orders])
    _contents(spec, f"{part}_bias", [layer.bias for layer in layers])
    multipliers = [np.stack([layer.positive, layer.negative], axis=1) for layer in layers]
    _contents(spec, f"{part}_multipliers", multipliers)


def _contents(spec: ObjectSpec, name: str, arrays: list[NDArray[np.int8]] | list[NDArray[np.int32]]) -> None:
    contents = b"".join(array.tobytes() for array in arrays) or bytes(8)  # a map of no bytes cannot be
    spec.resize_map(name, value_size=len(contents))
    spec.maps[name] = replace(spec.maps[name], contents=contents, frozen=True)
