"""Rows in C: a network of dense layers, built by the host's compiler for this CPU, in plain loops and by hand."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator
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


AVX2 = frozenset({"avx2"})
AVX512 = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"})
KINDS = (
    Kind("avx2-autovec", "autovec.c", AVX2),
    Kind("avx2-intrinsics", "avx2.c", AVX2, 8, 2),
    Kind("avx2-maddubs", "maddubs.c", AVX2, 8, 4, saturates=True),
    Kind("avx512-vnni", "vnni.c", AVX512, 16, 4),
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


class Timed(Runner):
    """A library with the ``run`` of native/run.h, a ``struct network`` for it, and samples that it runs over."""

    _library: ctypes.CDLL
    _network: ctypes.Structure

    def __init__(self, name: str, classes: int) -> None:
        super().__init__(name, classes)
        self._held: list[NDArray[Any]] = []

    def hold(self, array: NDArray[Any]) -> int:
        """Where an aligned copy of ``array`` lies, for as long as the row lives."""
        copy = aligned(array.shape, array.dtype)
        copy[...] = array
        self._held.append(copy)
        return int(copy.ctypes.data)

    def hold_samples(self, samples: NDArray[np.uint8]) -> None:
        """Rotates over ``samples``, uint8 [n, bytes], from now on."""
        self._samples = samples
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

    def _run(self, first: int, count: int, runs: int) -> float:
        given, scores = (ctypes.c_void_p(array[first:].ctypes.data) for array in (self._samples, self._scores))
        return float(self._library.run(ctypes.byref(self._network), given, count, runs, scores))


class NativeRunner(Timed):
    """A network of dense layers over 8-bit samples, in C. Raises :class:`NotSupported` for another, and without a compiler."""

    def __init__(self, kind: Kind, network: QuantizedNetwork) -> None:
        super().__init__(kind.name, len(network.labels))
        reason = why_not(network)
        if reason:
            raise NotSupported(f"{kind.name}: {reason}")
        self._library = build(kind)
        layers = [layer for layer in network.layers if isinstance(layer, Dense)]
        laid_out = (self._lay_out(kind, layer, is_first=number == 0) for number, layer in enumerate(layers))
        self._layers = (_Layer * len(layers))(*laid_out)
        self._stride = -(-network.input.size // ALIGNED) * ALIGNED
        self._network = _Network(len(network.layers), self._stride, ctypes.addressof(self._layers))

    def load(self, samples: NDArray[np.uint8]) -> None:
        self.hold_samples(aligned((len(samples), self._stride), np.uint8))
        self._samples[:, : samples[0].size] = samples.reshape(len(samples), -1)

    @property
    def described(self) -> Any:
        """A pointer to ``struct network``, valid as long as the row lives, for other C code."""
        return ctypes.byref(self._network)

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
        pointers = (self.hold(array) for array in (weights, extra, extra_groups, *vectors))
        return _Layer(*sizes, by.shift, by.low, by.high, by.zero_point, *pointers)


def native_runners(network: QuantizedNetwork, left_out: dict[str, str]) -> Iterator[NativeRunner]:
    """The rows in C that this CPU can run; ``left_out`` gets the reason for each other one, by its name."""
    reason = why_not(network)
    if reason:
        left_out.update(dict.fromkeys((kind.name for kind in KINDS), reason))
        return
    for kind in possible(KINDS, left_out):
        yield NativeRunner(kind, network)


def possible(kinds: Iterable[Kind], left_out: dict[str, str]) -> Iterator[Kind]:
    """Those that this machine can build and run; ``left_out`` gets the reason for each other one, by its name."""
    flags = _cpu_flags() if platform.machine() == "x86_64" else set()
    for kind in kinds:
        missing = sorted(kind.flags - flags)
        if missing:
            left_out[kind.name] = f"this CPU has no {missing[0]}"
        elif not shutil.which("cc"):
            left_out[kind.name] = "there is no C compiler; install gcc or clang as `cc`"
        else:
            yield kind


def why_not(network: QuantizedNetwork) -> str | None:
    """The reason why the rows in C for dense layers cannot compute ``network``.

    They take dense layers over 8-bit samples, whose hidden outputs fit 32 bits before they are clipped, as trained ones do.
    """
    if network.then:
        return f"'{network.name}' is a cascade"
    layers = [layer for layer in network.layers if isinstance(layer, Dense)]
    if network.input.bits != 8 or len(layers) != len(network.layers):
        return f"'{network.name}' has other layers than dense ones over 8-bit samples"
    for layer, (low, high) in zip(layers, network.ranges, strict=True):
        if max(layer.weights.shape) > _WIDEST:
            return f"'{network.name}' has a layer of more than {_WIDEST} inputs or outputs"
        by = layer.requantization
        if by.activation is not None:
            return f"'{network.name}' has activation tables"
        largest = max(int(by.positive.max()), int(by.negative.max()))
        if accumulator_bound(layer, low, high) * largest >> by.shift > INT32_MAX // 2:
            return f"'{network.name}' has hidden outputs that exceed 32 bits before they are clipped"
    return None


def _cpu_flags() -> set[str]:
    """None where /proc does not tell: then the row that needs most is left out."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))


@cache
def build(kind: Kind, defined: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The row's code with the macros ``defined``, built once. Raises :class:`NotSupported` where the C compiler refuses it."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / f"{kind.name}.so"
        options = ["-O3", "-fno-strict-aliasing", *kind.options, *defined]
        command = ["cc", *options, "-shared", "-fPIC", str(SOURCES / kind.source), "-o", str(path)]
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode:
            reason = built.stderr.strip().partition("\n")[0]
            raise NotSupported(f"{kind.name}: the C compiler failed ({reason}); install gcc 9 or clang 9, or newer")
        loaded = ctypes.CDLL(str(path))
    loaded.run.restype = ctypes.c_uint64
    return loaded
