"""Batches do what single operations do, on maps that know them and on those that do not."""

from __future__ import annotations

import ctypes
import errno

import pytest
from kernelmaps import make, u32, u64

from ebpfnn.errors import KernelError
from ebpfnn.kernel import NOEXIST
from ebpfnn.kernel.map import batch
from ebpfnn.kernel.syscall import Command, MapBatch, refusal
from ebpfnn.obj.uapi import MapType

pytestmark = pytest.mark.root
ELEMENTS = {u32(i): u64(i * i) for i in range(50)}


@pytest.fixture(params=["kernel with batches", "kernel without"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "kernel without":

        def refuse(command: Command, _attributes: ctypes.Structure, what: str) -> int:
            raise refusal(f"{what}: BPF_{command.name}", errno.EINVAL)

        monkeypatch.setattr(batch, "bpf", refuse)
    return str(request.param)


@pytest.mark.parametrize("size", [1, 7, 50, 64])
@pytest.mark.parametrize("type", [MapType.HASH, MapType.LRU_HASH, MapType.ARRAY])
@pytest.mark.usefixtures("kernel")
def test_what_is_written_is_read(type: MapType, size: int) -> None:  # noqa: A002
    with make(type, entries=2000 if type is MapType.LRU_HASH else 50) as held:
        assert held.update_batch(ELEMENTS.items(), size=size) == 50
        assert dict(held.lookup_batch(size)) == dict(held.items()) == ELEMENTS


@pytest.mark.usefixtures("kernel")
def test_deleting_and_draining() -> None:
    with make(MapType.HASH) as held:
        held.update_batch(ELEMENTS.items())
        assert held.delete_batch([u32(i) for i in range(10)], size=3) == 10
        assert len(list(held.keys())) == 40
        assert dict(held.lookup_and_delete_batch(9)) == {u32(i): u64(i * i) for i in range(10, 50)}
        assert list(held.items()) == []


def test_a_kind_without_batches_is_read_one_by_one() -> None:
    with make(MapType.DEVMAP, value_size=4) as held:
        assert list(held.lookup_batch()) == list(held.items())


@pytest.mark.usefixtures("kernel")
def test_a_refused_batch_says_how_far_it_came() -> None:
    with make(MapType.HASH) as held:
        held.update(u32(7), u64(7))
        with pytest.raises(KernelError, match=r"map 'hash'.*refused with EEXIST.*after 7 elements") as refused:
            held.update_batch(ELEMENTS.items(), NOEXIST, size=5)
        assert refused.value.errno == errno.EEXIST
        assert len(list(held.keys())) == 8


@pytest.mark.usefixtures("kernel")
def test_deleting_what_is_not_there() -> None:
    with make(MapType.HASH) as held:
        held.update_batch(ELEMENTS.items())
        with pytest.raises(KernelError, match=r"ENOENT.*after 2 elements"):
            held.delete_batch([u32(1), u32(2), u32(99), u32(3)])
        assert held.lookup(u32(3)) == u64(9)


def test_an_element_of_the_wrong_size_is_refused_before_any_is_written() -> None:
    with make(MapType.HASH) as held:
        with pytest.raises(KernelError, match="has keys of 4 bytes, not 5"):
            held.update_batch([(u32(1), u64(1)), (b"12345", u64(2))])
        assert list(held.keys()) == []


def test_a_crowded_bucket_makes_the_batch_grow() -> None:
    """One bucket of a hash with 4 entries may well hold more than one of them; every size must still reach the end."""
    with make(MapType.HASH, entries=4) as held:
        held.update_batch([(u32(i), u64(i)) for i in range(4)])
        assert sorted(held.lookup_batch(1)) == [(u32(i), u64(i)) for i in range(4)]


def test_batches_of_per_cpu_maps_carry_every_cpu() -> None:
    with make(MapType.PERCPU_HASH) as held:
        value = bytes(range(8)) * (held.exchanged_size // 8)
        held.update_batch([(u32(1), value)])
        assert list(held.lookup_batch()) == [(u32(1), value)]


@pytest.mark.parametrize("size", [0, -1])
def test_batches_of_nothing_are_refused(size: int) -> None:
    with make(MapType.HASH) as held:
        held.update(u32(1), u64(1))
        for batches in (
            lambda: held.lookup_batch(size),
            lambda: held.lookup_and_delete_batch(size),
            lambda: held.update_batch(ELEMENTS.items(), size=size),
            lambda: held.delete_batch([u32(1)], size),
        ):
            with pytest.raises(KernelError, match=f"map 'hash': a batch cannot have {size} elements") as refused:
                batches()
            assert refused.value.errno == errno.EINVAL
        assert list(held.items()) == [(u32(1), u64(1))]


@pytest.mark.usefixtures("kernel")
def test_a_frozen_map_took_nothing() -> None:
    with make(MapType.HASH) as held:
        held.update(u32(1), u64(1))
        held.freeze()
        with pytest.raises(KernelError, match=r"refused with EPERM \([^;]*\), after 0 elements; \w") as refused:
            held.update_batch(ELEMENTS.items())
        assert refused.value.errno == errno.EPERM
        with pytest.raises(KernelError, match="after 0 elements"):
            held.delete_batch([u32(1)])


def test_what_was_taken_before_batches_were_refused_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_two(_command: Command, attributes: MapBatch, what: str) -> int:
        keys = ctypes.string_at(attributes.keys, 8)
        held.delete(keys[:4])
        held.delete(keys[4:])
        attributes.count = 2
        raise refusal(what, errno.EINVAL)

    with make(MapType.HASH) as held:
        held.update_batch(ELEMENTS.items())
        monkeypatch.setattr(batch, "bpf", take_two)
        assert held.delete_batch(list(ELEMENTS)) == 50
        assert list(held.keys()) == []


@pytest.mark.parametrize("type", [MapType.HASH, MapType.LRU_HASH])
@pytest.mark.usefixtures("kernel")
def test_elements_are_counted_in_a_bounded_time(type: MapType) -> None:  # noqa: A002
    with make(type, entries=4000) as held:
        assert held.count(60) == 0
        held.update_batch({u32(i): u64(i) for i in range(1500)}.items())
        assert held.count(60) == len(list(held.keys())) == 1500
        assert held.count(-1) is None
