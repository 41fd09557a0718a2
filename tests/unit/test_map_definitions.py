"""Map definitions of every form, and those that no kernel or loader understands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from declarations import DECLARATIONS
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpfnn.errors import ObjectError
from ebpfnn.obj import Kind, ObjectSpec
from ebpfnn.obj.uapi import MapType

Build = Callable[..., ObjectSpec]
INNER = "struct inner { __uint(type, 2); __uint(max_entries, 1); __type(key, int); __type(value, int); };"


@pytest.fixture
def build(build_spec: Build) -> Build:
    return lambda source, name="test.o": build_spec(DECLARATIONS + source, name)


def test_every_attribute(build: Build) -> None:
    spec = build("""
        struct { __uint(type, 30); __uint(max_entries, 9); __uint(map_flags, 4); __uint(value_size, 8); __uint(numa_node, 1);
                 __ulong(map_extra, 3); __uint(pinning, LIBBPF_PIN_BY_NAME); } bloom SEC(".maps");
        SEC("syscall") int run(void *context) { return 0; }""").maps["bloom"]
    assert (spec.type, spec.max_entries, spec.flags, spec.key_size, spec.value_size) == (MapType.BLOOM_FILTER, 9, 4, 0, 8)
    assert (spec.numa_node, spec.extra, spec.pinned) == (1, 3, True)


def test_values_and_the_maps_inside(build: Build) -> None:
    maps = build(
        INNER
        + """
        struct inner one SEC(".maps");
        static struct inner two SEC(".maps");
        SEC("xdp") int run(void *context) { return bpf_map_lookup_elem(&two, &context) != 0; }
        struct { __uint(type, 13); __uint(max_entries, 4); __type(key, int); __array(values, struct inner); }
            outer SEC(".maps") = { .values = { [2] = &one, [3] = &two } };
        struct { __uint(type, 3); __uint(max_entries, 2); __uint(key_size, 4); __array(values, int (void *)); }
            programs SEC(".maps") = { .values = { [1] = (void *)&run } };"""
    ).maps
    assert maps["outer"].values == ((2, "one"), (3, "two"))
    assert (maps["outer"].key_size, maps["outer"].value_size) == (4, 4)
    assert maps["outer"].inner is not None
    assert (maps["outer"].inner.type, maps["outer"].inner.value_size) == (MapType.ARRAY, 4)
    assert maps["programs"].values == ((1, "run"),)
    assert maps["programs"].inner is None


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("__uint(type, 2); __uint(colour, 1);", "attribute 'colour' is unknown; this loader supports type, key, value, values"),
        ("__uint(max_entries, 2);", "has no type; add __uint(type, BPF_MAP_TYPE_...)"),
        ("__uint(type, 2); __array(values, struct inner);", "only maps of maps and program arrays have values"),
        ("__uint(type, 12); __type(values, int);", "attribute 'values' is not an array; define it with __array()"),
        ("__uint(type, 12); __array(values, struct of_maps);", "map 'bad.inner' is inside another and is a map of maps"),
        ("__uint(type, 12); __array(values, struct pinned);", "map 'bad.inner' is inside another and is pinned"),
    ],
)
def test_definitions_that_make_no_sense(build: Build, definition: str, words: str) -> None:
    others = """
        struct of_maps { __uint(type, 12); __array(values, struct inner); };
        struct pinned { __uint(type, 2); __uint(pinning, 1); };"""
    with pytest.raises(ObjectError) as caught:
        build(f'{INNER} {others} struct {{ {definition} }} bad SEC(".maps");')
    assert words in str(caught.value)


def test_a_number_that_bpf_cannot_say(build: Build) -> None:
    wide = build("enum wide { WIDE = 0x100000000 } wide;").btf
    if wide is None or wide.find("wide", Kind.ENUM64) is None:
        pytest.skip("this clang cuts enumerators to 32 bits")
    with pytest.raises(ObjectError, match="attribute 'max_entries' is 4294967296; the limit is 4294967295"):
        build('struct { __uint(type, 2); __ulong(max_entries, 0x100000000); } bad SEC(".maps");')


LEGACY = "struct bpf_map_def { unsigned int type, key_size, value_size, max_entries, map_flags; %s };"


def test_a_legacy_definition(build: Build) -> None:
    spec = build(LEGACY % "" + 'struct bpf_map_def old SEC("maps") = { 1, 4, 8, 16, 1 };').maps["old"]
    assert (spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags) == (1, 4, 8, 16, 1)


def test_a_longer_legacy_definition_may_not_use_its_length(build: Build) -> None:
    longer = LEGACY % "unsigned int id, pinning;"
    assert build(longer + 'struct bpf_map_def old SEC("maps") = { 1, 4, 8, 16, 1 };').maps["old"].max_entries == 16
    with pytest.raises(ObjectError, match=r"map 'old' has more fields than struct bpf_map_def \(such as iproute2's\)"):
        build(longer + 'struct bpf_map_def old SEC("maps") = { 1, 4, 8, 16, 1, 0, 2 };')


def test_a_legacy_section_that_is_none(build: Build) -> None:
    with pytest.raises(ObjectError, match=r"map 'old' is not a struct bpf_map_def of 20 bytes"):
        build('int old SEC("maps") = 1;')
    with pytest.raises(ObjectError, match="does not hold one definition per map"):
        build('int old SEC("maps") = 1; char odd[9] SEC("maps") = "a";')


def test_an_address_where_no_value_is(build: Build) -> None:
    with pytest.raises(ObjectError, match="contains an address outside the values"):
        build('int target; struct { int (*type)[2]; void *key; } odd SEC(".maps") = { .key = &target };')


OBJECT = (
    INNER
    + """
    struct inner one SEC(".maps");
    struct { __uint(type, 12); __uint(max_entries, 4); __type(key, int); __array(values, struct inner); }
        outer SEC(".maps") = { .values = { [2] = &one } };
    extern int CONFIG_HZ __kconfig;
    extern int bpf_kernel(int value) __ksym;
    struct ops { int (*call)(void *); int number; };
    SEC("struct_ops/call") int call(void *context) { return CONFIG_HZ + bpf_kernel(1); }
    SEC(".struct_ops") struct ops mine = { .call = call, .number = 3 };"""
)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_object_is_read_or_refused(build_object: Callable[..., bytes], data: st.DataObject) -> None:
    damaged = bytearray(build_object(DECLARATIONS + OBJECT))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ObjectError):
        assert ObjectSpec.from_bytes(bytes(damaged), "damaged.o").name == "damaged.o"
