"""nn.h, built by the host's compiler and called through ctypes, over what the twin's maps hold."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
from twins import contents, variable

from ebpfnn.compiler.twin import lay_out, workspace_size
from ebpfnn.network import QuantizedNetwork
from ebpfnn.obj import ObjectSpec

ROOT = Path(__file__).parents[2]
GUARD = 16
"""Elements behind each array of the workspace that nobody may write."""


PARAMETERS = ("weights", "bias", "multipliers")


class Parameters(ctypes.Structure):
    """``struct nn_parameters``."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in PARAMETERS)


class Network(ctypes.Structure):
    """``struct nn_network``."""

    _fields_ = (
        ("stages", ctypes.c_void_p),
        ("depth", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("own_thresholds_or_places", ctypes.c_void_p),
        ("tables", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
        ("hidden", Parameters),
        ("output", Parameters),
    )


class Workspace(ctypes.Structure):
    """``struct nn_workspace``."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("accumulators", "edged", "nonzero", "activations"))


def build(directory: Path, *flags: str, source: str = "host_network.c") -> ctypes.CDLL:
    """The library, built in ``directory``; warnings are errors."""
    library = (directory / source).with_suffix(".so")
    path, include = ROOT / "tests" / "unit" / source, ROOT / "bpf" / "include"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", *flags, "-shared", "-fPIC"]
    subprocess.run([*command, f"-I{include}", str(path), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


class HostNetwork:
    """A network laid out as nn.h wants it."""

    def __init__(self, library: ctypes.CDLL, network: QuantizedNetwork) -> None:
        self._library, self._classes = library, len(network.labels)
        self._held: list[ctypes.Array[ctypes.c_char]] = []
        spec = lay_out(network)
        parts = (self._parameters(spec, part) for part in ("hidden", "output"))
        stages, layers = (self._hold(variable(spec, name)) for name in ("nn_stages", "nn_layers"))
        held = "nn_places" if network.input.packed else "nn_own_thresholds", "nn_tables", "nn_order"
        arrays = (self._hold(contents(spec, name)) for name in held)
        self._network = Network(stages, number(spec, "nn_depth"), layers, *arrays, *parts)
        outputs, edged, inputs = (number(spec, f"nn_widest_{name}") for name in ("output", "edged", "input"))
        activations = workspace_size(network) - 4 * (outputs + edged) - 2 * inputs
        sizes = ((outputs, np.int32), (edged, np.int32), (inputs, np.uint16), (activations, np.uint8))
        self._arrays = [np.full(size + GUARD, 0x5A, dtype) for size, dtype in sizes]
        self._workspace = Workspace(*(array.ctypes.data for array in self._arrays))

    def infer(self, encoded: np.ndarray) -> tuple[int, list[int]]:
        """The label and the scores of one sample as the kernel gets it."""
        where = self._hold(encoded.tobytes())
        label = self._library.host_infer(ctypes.byref(self._network), where, ctypes.byref(self._workspace))
        self._held.pop()
        assert all((array[-GUARD:] == 0x5A).all() for array in self._arrays)
        return label, self._arrays[0][: self._classes].tolist()

    def _parameters(self, spec: ObjectSpec, part: str) -> Parameters:
        return Parameters(*(self._hold(contents(spec, f"nn_{part}_{name}")) for name in PARAMETERS))

    def _hold(self, data: bytes) -> ctypes.c_void_p:
        """Where a copy of ``data`` lies, as long as it is held."""
        self._held.append(ctypes.create_string_buffer(data, len(data)))
        return ctypes.c_void_p(ctypes.addressof(self._held[-1]))


def number(spec: ObjectSpec, name: str) -> int:
    """A u32."""
    return int.from_bytes(variable(spec, name), "little")
