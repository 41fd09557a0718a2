"""Maps in the running kernel."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.kernel import EXIST, NOEXIST, Map, Object
from ebpfnn.obj import MapSpec, ObjectSpec
from ebpfnn.obj.maps import ARRAY, MMAPABLE, RDONLY_PROG

pytestmark = pytest.mark.root
HASH = 1
ONE, TWO = struct.pack("<I", 1), struct.pack("<I", 2)


@pytest.fixture
def table() -> Iterator[Map]:
    with Map.create(MapSpec("table", HASH, 4, 8, 2)) as created:
        yield created


def code(caught: pytest.ExceptionInfo[KernelError]) -> str:
    return caught.value.code


def test_elements_come_and_go(table: Map) -> None:
    assert table.lookup(ONE) is None
    table.update(ONE, b"abcdefgh")
    table.update(ONE, b"hgfedcba")
    assert table.lookup(ONE) == b"hgfedcba"
    table.delete(ONE)
    assert table.lookup(ONE) is None
    with pytest.raises(KernelError) as caught:
        table.delete(ONE)
    assert code(caught) == "ENOENT"


def test_update_does_what_its_flags_demand(table: Map) -> None:
    with pytest.raises(KernelError) as caught:
        table.update(ONE, bytes(8), EXIST)
    assert code(caught) == "ENOENT"
    table.update(ONE, bytes(8), NOEXIST)
    with pytest.raises(KernelError) as caught:
        table.update(ONE, bytes(8), NOEXIST)
    assert code(caught) == "EEXIST"


def test_a_full_table_says_so(table: Map) -> None:
    table.update(ONE, bytes(8))
    table.update(TWO, bytes(8))
    with pytest.raises(KernelError) as caught:
        table.update(bytes(4), bytes(8))
    assert code(caught) == "E2BIG"


def test_sizes_are_checked_before_the_kernel_reads_past_them(table: Map) -> None:
    for key in (b"", b"abc", b"abcde"):
        with pytest.raises(KernelError, match="map 'table' has keys of 4 bytes, not"):
            table.lookup(key)
    with pytest.raises(KernelError, match="map 'table' has values of 8 bytes, not 7"):
        table.update(ONE, bytes(7))


def test_what_the_kernel_says_of_it(table: Map) -> None:
    info = table.info()
    assert (info.type, info.key_size, info.value_size, info.max_entries, info.name) == (HASH, 4, 8, 2, b"table")
    assert info.id > 0


def test_a_closed_map_is_an_error_not_another_descriptor(table: Map) -> None:
    table.close()
    table.close()
    assert table.closed
    with pytest.raises(KernelError, match="map 'table' is closed"):
        table.lookup(ONE)


def test_memory_is_shared_with_the_kernel() -> None:
    with Map.create(MapSpec("slots", ARRAY, 4, 5, 3, MMAPABLE)) as slots, slots.mmap() as memory:
        assert slots.element_stride == 8
        memory[8:13] = b"hello"
        assert slots.lookup(ONE) == b"hello"
        slots.update(TWO, b"world")
        assert memory[16:21] == b"world"


def test_memory_of_a_map_that_has_none_to_share() -> None:
    with Map.create(MapSpec("plain", ARRAY, 4, 8, 1)) as plain, pytest.raises(KernelError, match="map 'plain': mmap refused"):
        plain.mmap()


def test_a_frozen_map_takes_nothing_more_from_user_space() -> None:
    spec = MapSpec("weights", ARRAY, 4, 8, 1, MMAPABLE | RDONLY_PROG, contents=b"12345678", frozen=True)
    with Map.create(spec) as weights:
        assert weights.lookup(bytes(4)) == b"12345678"
        for write in (lambda: weights.update(bytes(4), bytes(8)), weights.mmap, weights.freeze):
            with pytest.raises(KernelError):
                write()
        assert weights.lookup(bytes(4)) == b"12345678"


def test_a_programs_constants_are_frozen(build_spec: Callable[[str], ObjectSpec]) -> None:
    spec = build_spec('const volatile int knob = 7; SEC("syscall") int f(void *c) { return knob; }')
    with Object.load(spec) as loaded:
        constants = loaded.maps[".rodata"]
        with pytest.raises(KernelError) as caught:
            constants.update(bytes(4), bytes(constants.value_size))
        assert code(caught) == "EPERM"
        assert loaded.programs["f"].run().return_value == 7


def test_a_map_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KernelError, match="map 'none': BPF_MAP_CREATE refused with EINVAL") as caught:
        Map.create(MapSpec("none", ARRAY, 4, 8, 0))
    assert caught.value.errno == errno.EINVAL


def test_a_pin_outlives_the_map_that_made_it(bpffs: Path) -> None:
    with Map.create(MapSpec("kept", HASH, 4, 8, 2)) as created:
        created.update(ONE, b"abcdefgh")
        created.pin(bpffs / "kept")
    with Map.open(bpffs / "kept") as opened:
        assert (opened.type, opened.key_size, opened.value_size, opened.max_entries) == (HASH, 4, 8, 2)
        assert opened.lookup(ONE) == b"abcdefgh"


def test_a_pin_over_another(table: Map, bpffs: Path) -> None:
    table.pin(bpffs / "taken")
    with pytest.raises(KernelError, match="something is pinned there already; unpin it, or choose another name"):
        table.pin(bpffs / "taken")


def test_a_pin_where_none_can_be(table: Map, tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match=f"'{tmp_path}' is not on a BPF file system; mount -t bpf bpf /sys/fs/bpf"):
        table.pin(tmp_path / "pin")


def test_a_pin_that_is_not_there(bpffs: Path) -> None:
    with pytest.raises(KernelError, match="nothing is pinned there") as caught:
        Map.open(bpffs / "absent")
    assert code(caught) == "ENOENT"
    with pytest.raises(KernelError):
        Map.open(Path("/dev/null"))
