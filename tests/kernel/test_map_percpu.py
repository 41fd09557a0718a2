"""Per-CPU maps, as numpy arrays with a row for every possible CPU."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from kernelmaps import make, u32

from ebpfnn.errors import KernelError
from ebpfnn.kernel import possible_cpus
from ebpfnn.kernel.cpus import parse_cpus
from ebpfnn.obj.uapi import MapType

pytestmark = pytest.mark.root
KINDS = [MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH]
SHAPES = [(8, np.uint64, 1), (4, np.int32, 1), (12, np.uint32, 3), (3, np.uint8, 3)]


@pytest.mark.parametrize(("text", "cpus"), [("0\n", [0]), ("0-3\n", [0, 1, 2, 3]), ("0,2-3,7\n", [0, 2, 3, 7])])
def test_cpu_lists(text: str, cpus: list[int]) -> None:
    assert parse_cpus(text) == cpus


@pytest.mark.parametrize("type", KINDS)
@pytest.mark.parametrize(
    ("value_size", "dtype", "width"), [(8, np.uint64, 1), (4, np.int32, 1), (12, np.uint32, 3), (3, np.uint8, 3)]
)
def test_values_come_back(type: MapType, value_size: int, dtype: type, width: int) -> None:  # noqa: A002
    cpus = possible_cpus()
    values: npt.NDArray[Any] = np.arange(1, cpus * width + 1, dtype=dtype).reshape((cpus, width) if width > 1 else cpus)
    with make(type, value_size=value_size) as held:
        held.update_percpu(u32(1), values)
        found = held.lookup_percpu(u32(1), dtype)
        assert found is not None
        assert found.shape == values.shape
        assert (found == values).all()


def test_the_size_is_that_of_possible_cpus() -> None:
    assert possible_cpus() >= (os.cpu_count() or 1)
    with make(MapType.PERCPU_ARRAY, value_size=5) as held:
        assert held.exchanged_size == 8 * possible_cpus()
        assert len(held.lookup(u32(0)) or b"") == 8 * possible_cpus()


def test_a_key_that_is_not_there() -> None:
    with make(MapType.PERCPU_HASH) as held:
        assert held.lookup_percpu(u32(1), np.uint64) is None


def test_what_does_not_fit_is_refused() -> None:
    with make(MapType.PERCPU_HASH) as held, make(MapType.HASH) as plain:
        with pytest.raises(KernelError, match=r"values of 8 bytes are not a whole number of \|S3 items"):
            held.lookup_percpu(u32(1), "S3")
        with pytest.raises(KernelError, match=r"one per possible CPU\) of 8 bytes, not an array of shape \(1,\)"):
            held.update_percpu(u32(1), np.zeros(1, np.uint32))
        with pytest.raises(KernelError, match=r"map 'hash' is not a per\-CPU map; use lookup\(\)"):
            plain.lookup_percpu(u32(1), np.uint64)
        with pytest.raises(KernelError, match=r"takes a plain update\(\)"):
            plain.update_percpu(u32(1), np.zeros(possible_cpus(), np.uint64))
