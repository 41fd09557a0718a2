"""Whole objects in the running kernel: what C says is what happens."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpfnn.errors import KernelError, ObjectError, VerifierError
from ebpfnn.kernel import Map, Object, Program, has_program_type
from ebpfnn.obj import ObjectSpec, ProgramType, link

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]

SOURCE = """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); }
    seen SEC(".maps");
static struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); }
    hidden SEC(".maps");
static long (*const bpf_loop)(__u32 n, void *step, void *context, __u64 flags) = (void *)181;
const volatile __u32 knob = 5;
static volatile const __u32 table[4] = { 1, 2, 3, 4 };
__u64 total = 1000;
__u64 calls;
static __noinline long count(__u32 i, __u64 *sum) { *sum += i; return 0; }
static __noinline long tens(__u32 i, __u64 *sum) { *sum += 10 * i; return 0; }
static __noinline int pick(__u32 i) { return table[i & 3]; }
__noinline int doubled(int x) { return pick(x) * 2; }
SEC("syscall") int sums(void *context)
{
    __u64 sum = 0;
    __u32 zero = 0;
    __u64 *place = bpf_map_lookup_elem(&seen, &zero), *other = bpf_map_lookup_elem(&hidden, &zero);
    bpf_loop(4, count, &sum, 0);
    bpf_loop(4, tens, &sum, 0);
    total += sum;
    calls++;
    if (place && other) { *place = sum; *other = sum + 1; }
    return knob;
}
SEC("syscall") int calling(void *context) { return doubled(1) + doubled(3) * 100; }
SEC("syscall") int reading(struct { int a, b; } *context) { return context->a - context->b; }
SEC("xdp") int packet(struct xdp_md *packet) { return XDP_PASS; }
"""


@pytest.fixture
def spec(build_spec: Build) -> ObjectSpec:
    return build_spec(SOURCE)


def number(table: Map) -> int:
    value = table.lookup(bytes(4))
    assert value is not None
    return int.from_bytes(value[:8], "little")


def test_data_maps_and_callbacks(spec: ObjectSpec) -> None:
    with Object.load(spec) as loaded:
        for run in (1, 2):
            assert loaded.programs["sums"].run().return_value == 5
            assert number(loaded.maps[".bss"]) == run
            assert number(loaded.maps[".data"]) == 1000 + 66 * run
        assert (number(loaded.maps["seen"]), number(loaded.maps["hidden"])) == (66, 67)


def test_user_space_writes_what_programs_read(spec: ObjectSpec) -> None:
    spec.set_variable("knob", struct.pack("<I", 42))
    spec.set_variable("calls", struct.pack("<Q", 10))
    with Object.load(spec) as loaded:
        loaded.maps[".data"].update(bytes(4), struct.pack("<Q", 7))
        assert loaded.programs["sums"].run().return_value == 42
        assert (number(loaded.maps[".bss"]), number(loaded.maps[".data"])) == (11, 73)


def test_calls_through_two_functions(spec: ObjectSpec) -> None:
    with Object.load(spec) as loaded:
        assert loaded.programs["calling"].run().return_value == 4 + 8 * 100


def test_contexts_and_packets(spec: ObjectSpec) -> None:
    with Object.load(spec) as loaded:
        assert loaded.programs["reading"].run(context=struct.pack("<ii", 50, 8)).return_value == 42
        ran = loaded.programs["packet"].run(data=b"abcdefghijklmnop", repeat=3)
        assert (ran.return_value, ran.data) == (2, b"abcdefghijklmnop")


def test_what_the_kernel_says_of_a_program(spec: ObjectSpec) -> None:
    with Object.load(spec) as loaded:
        info = loaded.programs["sums"].info()
        assert (info.type, info.name, info.gpl_compatible & 1, info.nr_func_info) == (ProgramType.SYSCALL, b"sums", 1, 3)
        assert info.nr_line_info > 3
        assert loaded.maps[".rodata"].info().name == b"test.rodata"


def test_an_object_without_btf(build_object: Callable[..., bytes]) -> None:
    source = 'const volatile int knob = 9; SEC("syscall") int f(void *c) { return knob; }'
    with Object.load(ObjectSpec.from_bytes(build_object(source, "-g0"), "plain.o")) as loaded:
        assert loaded.programs["f"].run().return_value == 9


def test_two_objects_linked(build_spec: Build) -> None:
    caller = build_spec(
        "extern int answer(const void *at, int by); const volatile int knob = 3;"
        "static __noinline int helper(int x) { return x + knob; }"
        'SEC("syscall") int entry(void *context) { int five = 5; return answer(&five, helper(1)); }',
        "caller.o",
    )
    definer = build_spec(
        "const volatile int knob = 100; static __noinline int helper(int x) { return x * knob; }"
        "int answer(const void *at, int by) { return helper(*(const int *)at) + by; }",
        "definer.o",
    )
    for joined in (link(caller, definer), link(definer, caller)):
        with Object.load(joined) as loaded:
            assert loaded.programs["entry"].run().return_value == 504


def test_a_program_the_verifier_refuses(build_spec: Build) -> None:
    source = """struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); }
        found SEC(".maps");
        SEC("syscall") int sums(void *context)
        {
            __u32 key = 1;
            __u64 *place = bpf_map_lookup_elem(&found, &key);
            *place = 5;
            return 0;
        }"""
    with pytest.raises(VerifierError) as caught:
        Object.load(build_spec(source))
    assert "program 'sums'" in str(caught.value)
    assert "invalid mem access 'map_value_or_null'" in str(caught.value)
    assert "lines omitted)" in str(caught.value)
    assert len(caught.value.log.splitlines()) > 8
    assert "*place = 5" in caught.value.log
    assert caught.value.errno == errno.EACCES


def test_a_program_too_long_to_verify(build_spec: Build) -> None:
    source = """__u64 total; SEC("syscall") int f(void *c) {
        for (__u32 i = 0; i < 4000000; i++) { total += i; asm volatile("" ::: "memory"); } return 0; }"""
    with pytest.raises(VerifierError, match=r"BPF program is too large\. Processed 1000001 insn") as caught:
        Object.load(build_spec(source))
    assert caught.value.errno == errno.E2BIG


def test_types_the_kernel_refuses(build_spec: Build) -> None:
    """Most programs do without types; one with callbacks cannot, and is told so by the verifier."""
    spec = build_spec(SOURCE)
    assert spec.btf is not None
    spec.btf.place_section(spec.btf.find(".data") or 0, 1, {})
    told = r"BTF of test.o: BPF_BTF_LOAD refused with EINVAL .*; loaded without BTF"
    with pytest.warns(RuntimeWarning, match=told), pytest.raises(VerifierError, match="missing btf func_info"):
        Object.load(spec)
    spec.keep_programs("reading")
    with pytest.warns(RuntimeWarning, match=told):
        Object.load(spec).close()


def test_a_call_that_leads_nowhere_is_found_before_anything_is_made(build_spec: Build) -> None:
    spec = build_spec('extern int away(int x); SEC("syscall") int f(void *c) { return away(1); }')
    with pytest.raises(ObjectError, match=r"test\.o: 'f' calls 'away', which no object defines"):
        Object.load(spec)


def test_a_program_is_pinned_and_opened(spec: ObjectSpec, bpffs: Path) -> None:
    with Object.load(spec) as loaded:
        loaded.programs["calling"].pin(bpffs / "calling")
    with Program.open(bpffs / "calling") as opened:
        assert opened.run().return_value == 804
    with pytest.raises(KernelError, match="'calling' is closed"):
        opened.run()


def test_what_is_pinned_is_not_taken_for_something_else(spec: ObjectSpec, bpffs: Path) -> None:
    with Object.load(spec) as loaded:
        loaded.programs["calling"].pin(bpffs / "program")
        loaded.maps["seen"].pin(bpffs / "map")
    with pytest.raises(KernelError, match=f"pin '{bpffs}/program': a program is pinned there, not a map"):
        Map.open(bpffs / "program")
    with pytest.raises(KernelError, match=f"pin '{bpffs}/map': a map is pinned there, not a program"):
        Program.open(bpffs / "map")


def test_types_of_programs_are_found_by_trying() -> None:
    assert has_program_type(ProgramType.TRACEPOINT)
    assert has_program_type(ProgramType.XDP)
