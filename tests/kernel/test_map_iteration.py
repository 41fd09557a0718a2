"""Walking over a map while it changes."""

from __future__ import annotations

import pytest
from kernelmaps import make, u32, u64

from ebpfnn.errors import KernelError
from ebpfnn.kernel import Map
from ebpfnn.kernel.map import iteration
from ebpfnn.obj.uapi import MapType

pytestmark = pytest.mark.root


def filled(count: int) -> Map:
    held = make(MapType.HASH, entries=max(count, 1))
    held.update_batch([(u32(i), u64(i)) for i in range(count)])
    return held


@pytest.mark.parametrize("count", [0, 1, 2, 64])
def test_every_key_comes_once(count: int) -> None:
    with filled(count) as held:
        assert sorted(held.keys()) == [u32(i) for i in range(count)]


def test_deleting_the_key_at_hand_skips_none() -> None:
    with filled(64) as held:
        seen = []
        for key, _ in held.items():
            held.delete(key)
            seen.append(key)
        assert sorted(seen) == [u32(i) for i in range(64)]
        assert list(held.items()) == []


def test_deleting_the_next_key_repeats_none() -> None:
    with filled(64) as held:
        order = list(held.keys())
        seen = []
        for key, _ in held.items():
            seen.append(key)
            if len(seen) == 1:
                held.delete(order[1])
        assert len(seen) == len(set(seen))
        assert set(order) - set(seen) <= {order[1]}


def test_values_that_go_meanwhile_are_left_out() -> None:
    with filled(8) as held:
        items = held.items()
        next(items)
        for key in list(held.keys()):
            held.delete(key)
        assert list(items) == []


def test_a_map_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with filled(2) as held:
        monkeypatch.setattr(iteration, "_next", lambda _map, _key: u32(0))
        with pytest.raises(KernelError, match=r"map 'hash' changes faster .* stop its writers"):
            list(held.keys())
