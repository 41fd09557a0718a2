"""From clang's objects to functions, programs, variables and relocations."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from ebpfnn.errors import ObjectError
from ebpfnn.obj import ObjectSpec, ProgramType, Relocation, RelocationKind, insn

Build = Callable[..., ObjectSpec]
Kinds = RelocationKind

SOURCE = """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); }
    seen SEC(".maps");
static struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); }
    first SEC(".maps"), second SEC(".maps");
static long (*const bpf_loop)(__u32 n, void *step, void *context, __u64 flags) = (void *)181;
extern int outside(int x);
const volatile __u32 knob = 5;
static volatile const __u32 table[4] = { 1, 2, 3, 4 };
__u64 total = 7;
static __u64 calls;
static __noinline long count(__u32 i, __u64 *sum) { *sum += i; return 0; }
static __noinline long tens(__u32 i, __u64 *sum) { *sum += 10 * i; return 0; }
static __noinline int pick(__u32 i) { return table[i & 3] + knob; }
__noinline int shared(int x) { return pick(x) * 2; }
SEC("syscall") int one(void *context)
{
    __u64 sum = 0;
    __u32 zero = 0;
    bpf_loop(4, count, &sum, 0);
    bpf_loop(4, tens, &sum, 0);
    total += sum;
    calls++;
    return !bpf_map_lookup_elem(&seen, &zero) + !bpf_map_lookup_elem(&second, &zero) + !bpf_map_lookup_elem(&first, &zero);
}
SEC("syscall") int two(void *context) { return shared(1) + outside(2); }
SEC("tp/syscalls/sys_enter_getcpu") int three(void *context) { return pick(3); }
"""


@pytest.fixture(scope="module")
def spec(build_spec: Build) -> ObjectSpec:
    return build_spec(SOURCE)


def test_programs_are_the_global_functions_of_their_sections(spec: ObjectSpec) -> None:
    assert {name: program.type for name, program in spec.programs.items()} == {
        "one": ProgramType.SYSCALL,
        "two": ProgramType.SYSCALL,
        "three": ProgramType.TRACEPOINT,
    }
    assert spec.programs["three"].section == "tp/syscalls/sys_enter_getcpu"
    assert spec.programs["one"].flags == 1 << 4  # BPF_F_SLEEPABLE
    assert spec.license == "GPL"


def test_functions_and_who_sees_them(spec: ObjectSpec) -> None:
    exported = {name: function.exported for name, function in spec.functions.items()}
    static = dict.fromkeys(("count", "tens", "pick"), False)
    assert exported == {**static, **dict.fromkeys(("shared", "one", "two", "three"), True)}
    assert spec.externs == {"outside"}
    for function in spec.functions.values():
        assert insn.decode(function.code, len(function.code) // insn.SIZE - 1).opcode == insn.EXIT


def test_calls(spec: ObjectSpec) -> None:
    calls = [relocation.symbol for relocation in spec.functions["two"].relocations if relocation.kind is Kinds.CALL]
    assert calls == ["shared", "outside"]
    assert targets(spec, "shared", Kinds.CALL) == ["pick"]
    assert targets(spec, "three", Kinds.CALL) == ["pick"]


def test_callbacks_maps_and_data(spec: ObjectSpec) -> None:
    assert targets(spec, "one", Kinds.FUNCTION) == ["count", "tens"]
    assert targets(spec, "one", Kinds.MAP) == ["seen", "second", "first"]
    assert targets(spec, "one", Kinds.DATA) == [".data", ".bss"]
    assert set(targets(spec, "pick", Kinds.DATA)) == {".rodata"}
    places = {relocation.addend for relocation in spec.functions["pick"].relocations}
    assert places == {spec.variables["knob"].offset, spec.variables["table"].offset}


def targets(spec: ObjectSpec, function: str, kind: RelocationKind) -> list[str]:
    return [relocation.symbol for relocation in spec.functions[function].relocations if relocation.kind is kind]


def test_variables(spec: ObjectSpec) -> None:
    assert {name: (variable.map, variable.size) for name, variable in spec.variables.items()} == {
        "knob": (".rodata", 4),
        "table": (".rodata", 16),
        "total": (".data", 8),
        "calls": (".bss", 8),
    }
    at = spec.variables["knob"].offset
    contents = spec.maps[".rodata"].contents
    assert contents is not None
    assert contents[at : at + 4] == struct.pack("<I", 5)
    assert spec.maps[".bss"].contents is None


def test_setting_a_variable(build_spec: Build) -> None:
    spec = build_spec(SOURCE)
    spec.set_variable("calls", struct.pack("<Q", 99))
    assert spec.maps[".bss"].contents == struct.pack("<Q", 99)
    with pytest.raises(ObjectError, match="variable 'calls' takes 8 bytes, not 4"):
        spec.set_variable("calls", bytes(4))
    with pytest.raises(ObjectError, match="no global variable 'knobs'; there are: calls, knob, table, total"):
        spec.set_variable("knobs", bytes(4))


def test_choosing_programs(build_spec: Build) -> None:
    spec = build_spec(SOURCE)
    spec.keep_programs("three")
    assert list(spec.programs) == ["three"]
    with pytest.raises(ObjectError, match="no program 'four'; there are: three"):
        spec.keep_programs("four")
    with pytest.raises(ObjectError, match="no map 'absent'"):
        spec.resize_map("absent", value_size=1)


def test_lines_point_into_the_source(spec: ObjectSpec) -> None:
    assert spec.btf is not None
    for name, function in spec.functions.items():
        assert function.lines[0].index == 0
        assert spec.btf[function.type_id].name == name
        assert all(0 <= line.index < len(function.code) // insn.SIZE for line in function.lines)
    texts = {spec.btf.string(line.text).strip() for line in spec.functions["one"].lines}
    assert "bpf_loop(4, tens, &sum, 0);" in texts


def test_an_object_without_debugging_information(build_object: Callable[..., bytes]) -> None:
    spec = ObjectSpec.from_bytes(build_object('SEC("xdp") int pass(struct xdp_md *p) { return 2; }', "-g0"), "test.o")
    assert spec.btf is None
    assert spec.functions["pass"].type_id == 0
    assert spec.functions["pass"].lines == ()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('extern int away; SEC("syscall") int f(void *c) { return away; }', "'away' is neither defined in the object"),
    ],
)
def test_what_is_not_known(build_spec: Build, source: str, words: str) -> None:
    with pytest.raises(ObjectError, match=words):
        build_spec(source)


def test_relocations_compare_by_value() -> None:
    assert Relocation(1, Kinds.MAP, "a") == Relocation(1, Kinds.MAP, "a", 0)
