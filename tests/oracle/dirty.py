"""The memory that a loaded network computes in, filled with what is none of it: no byte of a result may come from there."""

from __future__ import annotations

import numpy as np

from ebpfnn import abi
from ebpfnn.kernel import Map
from ebpfnn.obj import MapType
from ebpfnn.session import Session

_ELAPSED = abi.offset("status")  # before it lie the sequence, which must stay, and the time


class Dirt:
    """Random bytes over a result, and over the workspace behind it."""

    def __init__(self, session: Session, random: np.random.Generator) -> None:
        self._random, self._results = random, session.loaded.maps[abi.RESULTS]
        self._shared = None if self._results.type == MapType.PERCPU_ARRAY else _bytes_of(self._results)

    def spread(self) -> None:
        if self._shared is None:
            self._spread_on_every_cpu()
        else:  # all calls here are of one thread, which has the first slot
            self._shared[0, _ELAPSED:] = self._bytes(self._shared.shape[1] - _ELAPSED)

    def _spread_on_every_cpu(self) -> None:
        held = self._results.lookup_percpu(bytes(4), np.uint8)
        assert held is not None
        values = held.copy()
        values[:, _ELAPSED:] = self._bytes(values.shape[1] - _ELAPSED)
        self._results.update_percpu(bytes(4), values)

    def _bytes(self, count: int) -> np.ndarray:
        return np.frombuffer(self._random.bytes(count), np.uint8)


def _bytes_of(held: Map) -> np.ndarray:
    return np.ndarray((held.max_entries, held.element_stride), np.uint8, buffer=held.mmap())
