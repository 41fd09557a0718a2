"""The memory of a loaded network, filled with what is none of a sample's: no byte of a result may come from there."""

from __future__ import annotations

import numpy as np

from ebpfnn import abi
from ebpfnn.kernel import Map
from ebpfnn.obj import MapType
from ebpfnn.session import Session

_WRITTEN = abi.offset("status")  # before it lie the sequence, which must stay, and the time


class Dirt:
    """Random bytes over a result, over the workspace behind it, and over what fills a sample up to whole words."""

    def __init__(self, session: Session, random: np.random.Generator) -> None:
        self._random, self._results = random, session.loaded.maps[abi.RESULTS]
        self._shared = self._samples = None
        if self._results.type != MapType.PERCPU_ARRAY:
            self._shared, self._samples = _bytes_of(self._results), _bytes_of(session.loaded.maps[abi.SAMPLES])
            self._sample_bytes = session.network.input.sample_bytes

    def spread(self) -> None:
        if self._shared is None:
            self._spread_on_every_cpu()
        else:  # all calls here are of one thread, which has the first slot
            self._shared[0, _WRITTEN:] = self._bytes(self._shared.shape[1] - _WRITTEN)
            self._samples[0, self._sample_bytes :] = self._bytes(self._samples.shape[1] - self._sample_bytes)

    def _spread_on_every_cpu(self) -> None:
        held = self._results.lookup_percpu(bytes(4), np.uint8)
        assert held is not None
        values = held.copy()
        values[:, _WRITTEN:] = self._bytes(values.shape[1] - _WRITTEN)
        self._results.update_percpu(bytes(4), values)

    def _bytes(self, count: int) -> np.ndarray:
        return np.frombuffer(self._random.bytes(count), np.uint8)


def _bytes_of(held: Map) -> np.ndarray:
    return np.ndarray((held.max_entries, held.element_stride), np.uint8, buffer=held.mmap())
