"""Every kind of map as user space uses it."""

from __future__ import annotations

import errno
import ipaddress
import struct
from pathlib import Path

import pytest
from kernelmaps import make, u32, u64

from ebpfnn.errors import KernelError
from ebpfnn.kernel import EXIST, NOEXIST, Map, Program, lpm_key
from ebpfnn.obj import Image, MapSpec, ProgramSpec, ProgramType, insn
from ebpfnn.obj.uapi import MapType

pytestmark = pytest.mark.root
NO_PREALLOC = 1


@pytest.mark.parametrize("type", [MapType.HASH, MapType.LRU_HASH])
def test_lookup_and_delete(type: MapType) -> None:  # noqa: A002
    with make(type) as held:
        held.update(u32(1), u64(5))
        assert held.lookup_and_delete(u32(1)) == u64(5)
        assert held.lookup_and_delete(u32(1)) is None


def test_a_queue_gives_back_in_order() -> None:
    with make(MapType.QUEUE, key_size=0, entries=2) as held:
        assert held.peek() is None
        held.push(u64(1))
        held.push(u64(2))
        with pytest.raises(KernelError) as full:
            held.push(u64(3))
        assert full.value.errno == errno.E2BIG
        held.push(u64(3), EXIST)
        assert (held.peek(), held.pop(), held.pop(), held.pop()) == (u64(2), u64(2), u64(3), None)


def test_a_stack_gives_back_in_reverse() -> None:
    with make(MapType.STACK, key_size=0) as held:
        for i in range(3):
            held.push(u64(i))
        assert (held.peek(), held.pop(), held.pop(), held.pop(), held.pop()) == (u64(2), u64(2), u64(1), u64(0), None)


def test_a_bloom_filter_never_forgets() -> None:
    with make(MapType.BLOOM_FILTER, key_size=0, entries=1000) as held:
        assert not held.contains(u64(1))
        for i in range(100):
            held.push(u64(i))
        assert all(held.contains(u64(i)) for i in range(100))
        assert sum(held.contains(u64(i)) for i in range(1000, 2000)) < 100


@pytest.mark.parametrize(
    ("networks", "address", "expected"),
    [
        (["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0"], "10.1.2.3", 1),
        (["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0"], "10.2.2.3", 0),
        (["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0"], "192.0.2.1", 2),
        (["10.0.0.0/8"], "192.0.2.1", None),
        (["2001:db8::/32", "2001:db8:1::/48"], "2001:db8:1::5", 1),
    ],
)
def test_an_lpm_trie_finds_the_longest_prefix(networks: list[str], address: str, expected: int | None) -> None:
    with make(MapType.LPM_TRIE, key_size=len(lpm_key(address)), flags=NO_PREALLOC) as held:
        for i, network in enumerate(networks):
            held.update(lpm_key(ipaddress.ip_network(network)), u64(i))
        assert held.lookup(lpm_key(address)) == (None if expected is None else u64(expected))
        assert len(list(held.items())) == len(networks)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        lpm_key("10.0.0.1/8")


@pytest.mark.parametrize("type", [MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS])
def test_a_map_of_maps_takes_maps_and_tells_ids(type: MapType) -> None:  # noqa: A002
    with make(MapType.ARRAY) as inner, Map.create(MapSpec("outer", type, 4, 4, 4), inner=inner) as outer:
        outer.update(u32(2), inner)
        inner.update(u32(3), u64(33))
        found = outer.lookup(u32(2))
        assert found == u32(inner.info().id)
        with Map.from_id(struct.unpack("=I", found)[0]) as same:
            assert same.lookup(u32(3)) == u64(33)


def test_a_map_of_maps_refuses_another_shape() -> None:
    with (
        make(MapType.ARRAY) as pattern,
        make(MapType.ARRAY, value_size=16) as other,
        Map.create(MapSpec("outer", MapType.ARRAY_OF_MAPS, 4, 4, 4), inner=pattern) as outer,
        pytest.raises(KernelError, match="EINVAL"),
    ):
        outer.update(u32(0), other)


def test_a_program_array_takes_programs() -> None:
    code = insn.trivial_program()
    spec = ProgramSpec("target", "", ProgramType.SOCKET_FILTER)
    with (
        Program.load(spec, Image(code, (), (), (), ()), "GPL") as program,
        make(MapType.PROG_ARRAY, value_size=4) as held,
    ):
        held.update(u32(5), program)
        assert held.lookup(u32(5)) == u32(program.info().id)
        held.delete(u32(5))
        assert held.lookup(u32(5)) is None


def test_a_map_is_found_by_id_and_by_pin(bpffs: Path) -> None:
    with make(MapType.HASH) as held:
        held.update(u32(1), u64(1), NOEXIST)
        held.pin(bpffs / "kept")
        with Map.from_id(held.info().id) as same, Map.open(bpffs / "kept") as pinned:
            assert same.lookup(u32(1)) == pinned.lookup(u32(1)) == u64(1)
            assert (same.key_size, same.value_size, same.max_entries, same.name) == (4, 8, 64, "hash")
    with pytest.raises(KernelError, match=r"map 4294967294 does not exist; ebpfnn\.kernel\.inspect\.listing"):
        Map.from_id(0xFFFFFFFE)
