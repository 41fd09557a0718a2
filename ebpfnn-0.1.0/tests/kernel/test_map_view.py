"""Arrays in shared memory."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from kernelmaps import make, u32, u64

from ebpfnn.errors import KernelError, PermissionDenied
from ebpfnn.obj.uapi import MMAPABLE, MapType

pytestmark = pytest.mark.root


def test_what_is_written_in_place_is_looked_up() -> None:
    with make(MapType.ARRAY, entries=600, flags=MMAPABLE) as held:
        view = held.array(np.uint64)
        assert view.shape == (600,)
        view[599] = 7
        assert held.lookup(u32(599)) == u64(7)
        held.update(u32(3), u64(9))
        assert view[3] == 9


@pytest.mark.parametrize(
    ("value_size", "dtype", "shape"), [(12, np.float32, (5, 3)), (4, np.int32, (5,)), (3, np.uint8, (5, 3))]
)
def test_values_are_padded_to_eight_bytes(value_size: int, dtype: type, shape: tuple[int, ...]) -> None:
    with make(MapType.ARRAY, value_size=value_size, entries=5, flags=MMAPABLE) as held:
        view = held.array(dtype)
        assert view.shape == shape
        view[4] = 1
        assert held.lookup(u32(4)) == np.full(shape[1:], 1, dtype).tobytes()
        assert held.lookup(u32(3)) == bytes(value_size)


def test_structured_values() -> None:
    point = np.dtype([("x", "<u4"), ("y", "<u4")])
    with make(MapType.ARRAY, entries=2, flags=MMAPABLE) as held:
        held.array(point)[1] = (5, 6)
        assert held.lookup(u32(1)) == u32(5) + u32(6)


def test_a_view_outlives_the_map() -> None:
    held = make(MapType.ARRAY, flags=MMAPABLE)
    view = held.array(np.uint64)
    held.close()
    view[0] = 1
    assert view.sum() == 1
    del view
    gc.collect()


def test_what_cannot_be_shared_is_refused() -> None:
    with make(MapType.ARRAY) as plain, make(MapType.ARRAY, flags=MMAPABLE) as held:
        with pytest.raises(KernelError, match="map 'array': mmap refused"):
            plain.array(np.uint64)
        with pytest.raises(KernelError, match="choose a dtype"):
            held.array(np.dtype("S3"))
        held.freeze()
        with pytest.raises(PermissionDenied):
            held.array(np.uint64)
        view = held.array(np.uint64, writable=False)
        assert not view.flags.writeable
