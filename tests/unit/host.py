"""nn.h, built by the host's compiler and called through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np

from ebpfnn.network import Dense, QuantizedNetwork

ROOT = Path(__file__).parents[2]
GUARD = 16
"""Elements behind each array of the workspace that nobody may write."""


class Layer(ctypes.Structure):
    """``struct nn_layer``."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("inputs", "outputs", "weights", "channels", "shift")),
        ("low", ctypes.c_int32),
        ("high", ctypes.c_int32),
        ("sign_bit", ctypes.c_uint32),
    )


class Parameters(ctypes.Structure):
    """``struct nn_parameters``."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("weights", "bias", "multipliers"))


class Network(ctypes.Structure):
    """``struct nn_network``."""

    _fields_ = (("depth", ctypes.c_uint32), ("layers", ctypes.c_void_p), ("hidden", Parameters), ("output", Parameters))


def build(directory: Path, *flags: str) -> ctypes.CDLL:
    """The library, built in ``directory``; warnings are errors."""
    library = directory / "host_network.so"
    source, include = ROOT / "tests" / "unit" / "host_network.c", ROOT / "bpf" / "include"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", *flags, "-shared", "-fPIC"]
    subprocess.run([*command, f"-I{include}", str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


class Workspace(ctypes.Structure):
    """``struct nn_workspace``."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("accumulators", "nonzero", "activations"))


class HostNetwork:
    """A network laid out as nn.h wants it."""

    def __init__(self, library: ctypes.CDLL, network: QuantizedNetwork) -> None:
        self._library, self._classes = library, len(network.labels)
        self._held: list[np.ndarray] = []
        table = (Layer * len(network.layers))()
        weights = channels = sign_bit = 0
        for entry, layer in zip(table, network.layers, strict=True):
            first = (0, 0) if layer is network.layers[-1] else (weights, channels)
            entry.__init__(layer.inputs, layer.outputs, *first, layer.shift, layer.low, layer.high, sign_bit)
            weights, channels = weights + layer.weights.size, channels + layer.outputs
            sign_bit = 0x80 if layer.signed else 0
        parts = self._parameters(network.layers[:-1]), self._parameters(network.layers[-1:])
        self._table = table
        self._network = Network(len(table), ctypes.addressof(table), *parts)
        outputs, inputs = (max(getattr(layer, side) for layer in network.layers) for side in ("outputs", "inputs"))
        sizes = ((outputs, np.int32), (inputs, np.uint16), (outputs, np.uint8))
        self._arrays = [np.full(size + GUARD, 0x5A, dtype) for size, dtype in sizes]
        self._workspace = Workspace(*(array.ctypes.data for array in self._arrays))

    def infer(self, sample: np.ndarray) -> tuple[int, list[int]]:
        """The label and the scores of one sample."""
        sample = np.ascontiguousarray(sample)
        where = ctypes.c_void_p(sample.ctypes.data)
        label = self._library.host_infer(ctypes.byref(self._network), where, ctypes.byref(self._workspace))
        assert all((array[-GUARD:] == 0x5A).all() for array in self._arrays)
        return label, self._arrays[0][: self._classes].tolist()

    def _parameters(self, layers: tuple[Dense, ...]) -> Parameters:
        weights = [layer.weights.T.ravel() for layer in layers]
        bias = [layer.bias for layer in layers]
        multipliers = [np.stack([layer.positive, layer.negative], axis=1).ravel() for layer in layers]
        arrays = [np.concatenate(parts) if parts else np.empty(0) for parts in (weights, bias, multipliers)]
        self._held += arrays
        return Parameters(*(array.ctypes.data for array in arrays))
