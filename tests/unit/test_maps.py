"""Map definitions in BTF, and the data sections."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rawbtf import BtfWriter

from ebpfnn.errors import ObjectError
from ebpfnn.obj import Btf, Kind, MapSpec, ObjectSpec
from ebpfnn.obj.elf import Elf, Section
from ebpfnn.obj.maps import MMAPABLE, RDONLY_PROG, read_maps

Build = Callable[[str], ObjectSpec]


def definition(body: str) -> str:
    return f'struct {{ {body} }} table SEC(".maps");'


def test_a_definition_is_read_from_its_types(build_spec: Build) -> None:
    body = """__uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 7); __uint(map_flags, 1);
        __type(key, __u32); __type(value, struct { __u64 a; char b[9]; });"""
    spec = build_spec(definition(body))
    table = spec.maps["table"]
    assert (table.type, table.key_size, table.value_size, table.max_entries, table.flags) == (1, 4, 24, 7, 1)
    assert spec.btf is not None
    assert spec.btf.size_of(table.key_type_id) == 4
    assert spec.btf.size_of(table.value_type_id) == 24
    assert (table.contents, table.frozen) == (None, False)


def test_sizes_may_be_given_as_numbers(build_spec: Build) -> None:
    body = "__uint(type, BPF_MAP_TYPE_ARRAY); __uint(key_size, 4); __uint(value_size, 12); __uint(max_entries, 1);"
    table = build_spec(definition(body)).maps["table"]
    assert (table.key_size, table.value_size, table.key_type_id, table.value_type_id) == (4, 12, 0, 0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("__uint(type, 1); __uint(pinming, 1);", "attribute 'pinming' is unknown; this loader supports type, key, value"),
        ("__uint(max_entries, 1);", "has no type"),
        ("__uint(type, 1); int max_entries;", "attribute 'max_entries' is not a pointer"),
        ("__uint(type, 1); __type(max_entries, int);", "attribute 'max_entries' is not a number; define it with __uint()"),
        ("__uint(type, 1); __type(key, struct nowhere);", "has no size"),
    ],
)
def test_a_definition_that_is_not_known(build_spec: Build, body: str, words: str) -> None:
    with pytest.raises(ObjectError) as caught:
        build_spec(definition(body))
    assert words in str(caught.value)


def test_a_map_that_is_no_struct(build_spec: Build) -> None:
    with pytest.raises(ObjectError, match="map 'table' is not a struct"):
        build_spec('int table SEC(".maps");')


def test_maps_without_btf(build_object: Callable[..., bytes]) -> None:
    with pytest.raises(ObjectError, match="without BTF; build it with clang -g"):
        ObjectSpec.from_bytes(build_object(definition("__uint(type, 1);"), "-g0"), "test.o")


def section(name: str, data: bytes = b"", size: int | None = None) -> Section:
    return Section(0, name, len(data) if size is None else size, data, False, True, size is not None)


def test_data_sections_become_maps() -> None:
    sections = (section(".rodata", b"abc"), section(".data.mine", b"defg"), section(".bss", size=5), section(".text", b"x" * 8))
    found = read_maps(Elf(sections, (), {}), Btf(), "test.o")
    assert set(found) == {".rodata", ".data.mine", ".bss"}
    read_only, data, zeros = found[".rodata"], found[".data.mine"], found[".bss"]
    assert (read_only.contents, read_only.frozen, read_only.flags) == (b"abc", True, MMAPABLE | RDONLY_PROG)
    assert (data.contents, data.frozen, data.flags, data.value_size) == (b"defg", False, MMAPABLE, 4)
    assert (zeros.contents, zeros.value_size, zeros.max_entries) == (None, 5, 1)


def test_a_data_section_that_is_there_twice() -> None:
    with pytest.raises(ObjectError, match=r"section '\.data' is defined twice"):
        read_maps(Elf((section(".data", b"a"), section(".data", b"b")), (), {}), Btf(), "test.o")


def map_btf(writer: BtfWriter, value: int) -> Btf:
    """One map, ``table``, whose values are of type ``value``."""
    number = writer.pointer(writer.array(writer.integer(), 1))
    struct = writer.struct("", 16, ("type", number, 0), ("value", writer.pointer(value), 64))
    writer.section(".maps", (writer.add(Kind.VAR, "table", struct, 1), 0, 16))
    return writer.btf()


def test_a_value_larger_than_bpf_can_say() -> None:
    writer = BtfWriter()
    rows = writer.array(writer.integer("long", 8), 1 << 20)
    with pytest.raises(ObjectError, match="the limit is 4294967295"):
        read_maps(Elf((section(".maps", b"0" * 16),), (), {}), map_btf(writer, writer.array(rows, 1 << 20)), "test.o")


def test_a_value_that_is_a_pointer_to_itself() -> None:
    writer = BtfWriter()
    found = read_maps(Elf((section(".maps", b"0" * 16),), (), {}), map_btf(writer, writer.pointer(1)), "test.o")
    assert found["table"].value_size == 8


def test_a_variable_section_of_nonsense() -> None:
    writer = BtfWriter()
    writer.section(".maps", (0, 0, 0), (1, 0, 0), (77, 0, 0))
    with pytest.raises(ObjectError):
        read_maps(Elf((section(".maps", b"0" * 16),), (), {}), writer.btf(), "test.o")


def test_resizing_keeps_the_types_only_where_they_still_fit() -> None:
    table = MapSpec("table", 2, 4, 8, 1, key_type_id=1, value_type_id=2)
    assert table.resized(max_entries=9) == MapSpec("table", 2, 4, 8, 9, key_type_id=1, value_type_id=2)
    assert table.resized(value_size=100) == MapSpec("table", 2, 4, 100, 1)
