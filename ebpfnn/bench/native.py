"""Rows in C: a network of dense layers, built by the host's compiler for this CPU, in plain loops and by hand."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..network import QuantizedNetwork
from ..network.layers import INT32_MAX, Dense, accumulator_bound
from .runner import Runner
from .weights import ALIGNED, aligned, grouped, in_halves, lengthened, unsaturated

SOURCES = Path(__file__).parent / "native"
_WIDEST = 4096 - 64  # of dense.h, less what padding takes


@dataclass(frozen=True)
class Kind:
    """A C source, the CPU's flags it needs, and how it wants the weights of the first layer.

    ``lanes`` outputs are in a vector, 0 for weights as they are; ``group`` inputs lie together.
    """

    name: str
    source: str
    flags: frozenset[str]
    lanes: int = 0
    group: int = 1
    saturates: bool = False

    @property
    def options(self) -> list[str]:
        """The compiler's, for these flags."""
        return ["-m" + flag.replace("_", "") for flag in sorted(self.flags)]


_AVX2 = frozenset({"avx2"})
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"})
KINDS = (
    Kind("avx2-autovec", "autovec.c", _AVX2),
    Kind("avx2-intrinsics", "avx2.c", _AVX2, 8, 2),
    Kind("avx2-maddubs", "maddubs.c", _AVX2, 8, 4, saturates=True),
    Kind("avx512-vnni", "vnni.c", _AVX512, 16, 4),
)


_NUMBERS = ("inputs", "outputs", "padded", "groups", "extras", "shift", "low", "high", "zero_point")


class _Layer(ctypes.Structure):
    """``struct layer`` of native/dense.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in _NUMBERS),
        *((name, ctypes.c_void_p) for name in ("weights", "extra", "extra_groups", "bias", "positive", "negative")),
    )


class _Network(ctypes.Structure):
    """``struct network`` of native/dense.h."""

    _fields_ = (("depth", ctypes.c_int32), ("sample_bytes", ctypes.c_int32), ("layers", ctypes.c_void_p))


class NativeRunner(Runner):
    """A network of dense layers over 8-bit samples, in C. Raises :class:`NotSupported` for another, and without a compiler."""

    def __init__(self, kind: Kind, network: QuantizedNetwork) -> None:
        super().__init__(kind.name, len(network.labels))
        if not _fits(network):
            raise NotSupported(f"{kind.name}: '{network.name}' has other layers than dense ones over 8-bit samples")
        self._library = library(kind)
        self._held: list[NDArray[Any]] = []
        layers = [layer for layer in network.layers if isinstance(layer, Dense)]
        laid_out = (self._lay_out(kind, layer, is_first=number == 0) for number, layer in enumerate(layers))
        self._layers = (_Layer * len(layers))(*laid_out)
        self._stride = -(-network.input.size // ALIGNED) * ALIGNED
        self._network = _Network(len(network.layers), self._stride, ctypes.addressof(self._layers))

    def load(self, samples: NDArray[np.uint8]) -> None:
        self._samples = aligned((len(samples), self._stride), np.uint8)
        self._samples[:, : samples[0].size] = samples.reshape(len(samples), -1)
        self._scores = np.zeros((len(samples), self.classes), np.int32)
        self._index = 0

    def run(self, runs: int) -> float:
        return self._run(0, len(self._samples), runs)

    def aim(self, index: int) -> None:
        self._index = index

    def run_one(self) -> float:
        return self._run(self._index, 1, 1)

    def scores(self, count: int) -> NDArray[np.int32]:
        return self._scores[:count]

    @property
    def described(self) -> Any:
        """A pointer to ``struct network``, valid as long as the row lives, for other C code."""
        return ctypes.byref(self._network)

    def _run(self, first: int, count: int, runs: int) -> float:
        given, scores = (ctypes.c_void_p(array[first:].ctypes.data) for array in (self._samples, self._scores))
        return float(self._library.run(ctypes.byref(self._network), given, count, runs, scores))

    def _lay_out(self, kind: Kind, layer: Dense, *, is_first: bool) -> _Layer:
        padded = -(-layer.outputs // max(kind.lanes, 1)) * max(kind.lanes, 1)
        extra, extra_groups = np.zeros(0, np.int8), np.zeros(0, np.int32)
        weights: NDArray[Any] = layer.weights[None]
        if kind.lanes and is_first:
            weights = grouped(in_halves(layer.weights) if kind.saturates else layer.weights, kind.group, padded)
            if kind.saturates:
                weights, extra, extra_groups = unsaturated(weights)
        elif kind.lanes:
            weights = grouped(layer.weights.astype(np.int16), 2, padded)
        by = layer.requantization
        vectors = (lengthened(vector, padded) for vector in (layer.bias, by.positive, by.negative))
        sizes = (layer.inputs, layer.outputs, padded, len(weights), len(extra_groups))
        pointers = (self._hold(array) for array in (weights, extra, extra_groups, *vectors))
        return _Layer(*sizes, by.shift, by.low, by.high, by.zero_point, *pointers)

    def _hold(self, array: NDArray[Any]) -> int:
        """Where an aligned copy of ``array`` lies, for as long as the row lives."""
        copy = aligned(array.shape, array.dtype)
        copy[...] = array
        self._held.append(copy)
        return int(copy.ctypes.data)


def native_runners(network: QuantizedNetwork) -> Iterator[NativeRunner]:
    """The rows in C that this CPU can run, of a network that can be one; none without a C compiler."""
    if platform.machine() != "x86_64" or not shutil.which("cc") or not _fits(network):
        return
    flags = _cpu_flags()
    for kind in KINDS:
        if kind.flags <= flags:
            yield NativeRunner(kind, network)


def _fits(network: QuantizedNetwork) -> bool:
    """Dense layers over 8-bit samples, whose hidden outputs fit 32 bits before they are clipped, as trained ones do."""
    for layer, (low, high) in zip(network.layers, network.ranges, strict=True):
        if not isinstance(layer, Dense) or max(layer.weights.shape) > _WIDEST:
            return False
        by = layer.requantization
        largest = max(int(by.positive.max()), int(by.negative.max()))
        if accumulator_bound(layer, low, high) * largest >> by.shift > INT32_MAX // 2:
            return False
    return network.input.bits == 8


def _cpu_flags() -> set[str]:
    """None where /proc does not tell: then the row that needs most is left out."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


@cache
def library(kind: Kind) -> ctypes.CDLL:
    """The row's code, built once. Raises :class:`NotSupported` where the C compiler does not take it."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / f"{kind.name}.so"
        command = ["cc", "-O3", "-fno-strict-aliasing", *kind.options, "-shared", "-fPIC", str(SOURCES / kind.source)]
        built = subprocess.run([*command, "-o", str(path)], capture_output=True, text=True)
        if built.returncode:
            reason = built.stderr.strip().partition("\n")[0]
            raise NotSupported(f"{kind.name}: the C compiler failed ({reason}); install gcc 9 or clang 9, or newer")
        loaded = ctypes.CDLL(str(path))
    loaded.run.restype = ctypes.c_uint64
    return loaded
