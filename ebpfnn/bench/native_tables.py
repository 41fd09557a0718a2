"""Table networks in C: the same tables, for AVX2 and AVX-512, over packed samples whose bytes are the rows' numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..network import QuantizedNetwork
from ..network.encoding import encode
from ..network.layers import Table
from .native import AVX2, AVX512, Kind, Timed, build, possible
from .table_form import Stage, packed_form, selects_rows, stages
from .weights import aligned

TABLE_KINDS = (Kind("avx2-tables", "tables.c", AVX2, 4), Kind("avx512-tables", "tables.c", AVX512, 8))
"""``lanes`` are the 64-bit words of a vector."""
_WORD = 8  # bytes


class _Stage(ctypes.Structure):
    """``struct stage`` of native/tables.c."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("first", "start", "last", "bias"))


class _Network(ctypes.Structure):
    """``struct network`` of native/tables.c."""

    _fields_ = (("sample_bytes", ctypes.c_int32), ("stages", ctypes.c_void_p))


class TableRunner(Timed):
    """A table network in C. Raises :class:`NotSupported` for one of another form, and without a compiler."""

    takes = "packed"

    def __init__(self, kind: Kind, network: QuantizedNetwork) -> None:
        super().__init__(kind.name, len(network.labels))
        found, packed = stages(network), packed_form(network)
        self._form = packed.input
        if not selects_rows(packed):
            raise NotSupported(f"'{network.name}': the bytes of its packed samples are not the rows of its groups")
        sizes = [_sizes(stage, kind.lanes) for stage in found]
        defined = {"STAGES": len(found), "CLASSES": self.classes, "VECTOR": kind.lanes * _WORD}
        for number, each in enumerate(sizes):
            defined |= {f"{name}{number}": value for name, value in each.items()}
        self._library = build(kind, tuple(f"-D{name}={value}" for name, value in defined.items()))
        self._stages = (_Stage * len(found))(*(self._lay_out(stage, each) for stage, each in zip(found, sizes, strict=True)))
        self._network = _Network(self._form.sample_bytes, ctypes.addressof(self._stages))

    def load(self, samples: NDArray[np.uint8]) -> None:
        encoded = encode(self._form, samples)
        self.hold_samples(aligned(encoded.shape, np.uint8))
        self._samples[...] = encoded

    def _lay_out(self, stage: Stage, sizes: dict[str, Any]) -> _Stage:
        words, scores, kind = sizes["WORDS"], sizes["SCORES"], np.dtype(sizes["SCORE"].removesuffix("_t"))
        by_number = stage.rows.transpose(1, 0, 2)  # rows of one number side by side: blank groups share cache lines
        arrays = (_widened(by_number, words), _widened(stage.start, words))
        tail = (_widened(stage.last, scores).astype(kind), _widened(stage.bias, scores).astype(kind))
        return _Stage(*(self.hold(array) for array in (*arrays, *tail)))


def table_runners(network: QuantizedNetwork, left_out: dict[str, str]) -> Iterator[TableRunner]:
    """The rows in C that this CPU can run, of a network of tables; ``left_out`` gets the reason for each other one."""
    if not any(isinstance(layer, Table) for layer in network.layers):
        return
    for kind in possible(TABLE_KINDS, left_out):
        try:
            yield TableRunner(kind, network)
        except NotSupported as reason:
            left_out[kind.name] = str(reason)


def _sizes(stage: Stage, vector_words: int) -> dict[str, Any]:
    """The macros of native/table_stage.h. A row is a power of two of words, or a multiple of the vector's."""
    kind, per_vector = ("int16_t", 2) if stage.largest < 1 << 15 else ("int32_t", 4)
    classes = len(stage.bias)
    return {
        "GROUPS": len(stage.rows),
        "WORDS": _fitting(len(stage.start), vector_words),
        "NEURONS": stage.neurons,
        "SHIFT": stage.shift,
        "SCORE": kind,
        "SCORES": _fitting(classes, vector_words * _WORD // per_vector),
        "MARGIN": stage.margin,
    }


def _fitting(count: int, vector: int) -> int:
    """The least power of two that holds ``count``, or multiple of ``vector``."""
    power = 1 << (count - 1).bit_length()
    return power if power <= vector else -(-count // vector) * vector


def _widened(array: NDArray[Any], length: int) -> NDArray[Any]:
    """With zeros behind the values of the last axis."""
    wide = np.zeros((*array.shape[:-1], length), array.dtype)
    wide[..., : array.shape[-1]] = array
    return wide
