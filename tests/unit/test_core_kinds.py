"""Every kind of CO-RE relocation, as clang writes it, against types laid out otherwise than the object's."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rawbtf import BtfWriter

from ebpfnn.errors import ObjectError
from ebpfnn.obj import Btf, CoreKind, Kind, ObjectSpec, apply_core, insn
from ebpfnn.obj.core.core_patch import POISON

TYPES = """
#define CORE __attribute__((preserve_access_index))
struct inner { int a; int b; } CORE;
enum color { RED = 1, GREEN = 2, GONE = 3 };
enum big___here { HUGE___here = 0x100000000ull };
struct thing {
	int x;
	unsigned long wide;
	struct inner in[2];
	char name[4];
	unsigned bits : 3;
	int low : 5;
	int deep;
	int *pointer;
	int gone;
} CORE;
struct absent { int x; } CORE;
struct other_make { int x; long long y; };
typedef int (*callback_t)(int, long);
#define INFO(what, kind) __builtin_preserve_field_info(((struct thing *)0)->what, kind)
#define ENUM(type, value, kind) __builtin_preserve_enum_value(*(typeof(type) *)value, kind)
#define ASK(name, value) SEC("syscall") __u64 name(void *context) { return value; }
"""
CASES = {
    "offset": ("INFO(x, 0)", 8),
    "nested_offset": ("INFO(in[1].a, 0)", 16 + 12 + 4),
    "array_offset": ("INFO(name[2], 0)", 48 + 2),
    "anonymous_offset": ("INFO(deep, 0)", 64 + 4),
    "size": ("INFO(wide, 1)", 4),
    "array_size": ("INFO(name, 1)", 8),
    "bits_size": ("INFO(bits, 1)", 4),
    "exists": ("INFO(x, 2)", 1),
    "does_not_exist": ("INFO(gone, 2)", 0),
    "unsigned_field": ("INFO(wide, 3)", 0),
    "signed_field": ("INFO(low, 3)", 1),
    "left_shift": ("INFO(bits, 4)", 64 - (7 + 6)),
    "right_shift": ("INFO(bits, 5)", 64 - 6),
    "plain_left_shift": ("INFO(x, 4)", 32),
    "target_id": ("__builtin_btf_type_id(*(struct thing *)0, 1)", "thing"),
    "no_target_id": ("__builtin_btf_type_id(*(struct absent *)0, 1)", 0),
    "type_exists": ("__builtin_preserve_type_info(*(struct thing *)0, 0)", 1),
    "type_does_not_exist": ("__builtin_preserve_type_info(*(struct absent *)0, 0)", 0),
    "callback_exists": ("__builtin_preserve_type_info(*(callback_t *)0, 0)", 1),
    "type_size": ("__builtin_preserve_type_info(*(struct thing *)0, 1)", 96),
    "no_type_size": ("__builtin_preserve_type_info(*(struct absent *)0, 1)", 0),
    "enumerator_exists": ("ENUM(enum color, GREEN, 0)", 1),
    "enumerator_does_not_exist": ("ENUM(enum color, GONE, 0)", 0),
    "enumerator": ("ENUM(enum color, GREEN, 1)", 7),
    "large_enumerator": ("ENUM(enum big___here, HUGE___here, 1)", 0x200000005),
    "matches": ("__builtin_preserve_type_info(*(struct inner *)0, 2)", 1),
    "does_not_match": ("__builtin_preserve_type_info(*(struct other_make *)0, 2)", 0),
}


@pytest.fixture(scope="module")
def kernel() -> Btf:
    """Types of the same names, laid out in another way."""
    writer = BtfWriter()
    number = writer.add(Kind.INT, "int", 4, 1 << 24 | 32)
    unsigned = writer.integer("unsigned int", 4)
    long = writer.add(Kind.INT, "long", 8, 1 << 24 | 64)
    char = writer.add(Kind.INT, "char", 1, 1 << 24 | 8)
    inner = writer.struct("inner", 12, ("pad", number, 0), ("a", number, 32), ("b", number, 64))
    color = writer.add(Kind.ENUM, "color", 4, writer.string("RED"), 1, writer.string("GREEN"), 7, vlen=2)
    writer.add(Kind.ENUM64, "big", 8, writer.string("HUGE"), 5, 2, vlen=1)
    anonymous = writer.struct("", 8, ("first", number, 0), ("deep", number, 32))
    union = writer.add(Kind.UNION, "", 8, 0, anonymous, 0, vlen=1)
    members = [
        ("wide", unsigned, 0),
        ("x", number, 8 * 8),
        ("in", writer.array(inner, 2), 16 * 8),
        ("name", writer.array(char, 8), 48 * 8),
        ("bits", unsigned, 6 << 24 | (56 * 8 + 7)),
        ("low", number, 5 << 24 | (60 * 8)),
        ("", union, 64 * 8),
        ("pointer", writer.pointer(color), 72 * 8),
    ]
    writer.struct("thing", 96, *members, flag=True)
    writer.struct("other_make", 16, ("x", number, 0), ("y", number, 64))
    writer.add(Kind.TYPEDEF, "callback_t", writer.pointer(writer.prototype(number, number, long)))
    return writer.btf()


@pytest.fixture(scope="module")
def spec(build_object: Callable[..., bytes]) -> ObjectSpec:
    asked = "".join(f"ASK({name}, {value})\n" for name, (value, _) in CASES.items())
    local = "ASK(local_id, __builtin_btf_type_id(*(struct thing *)0, 0))\nASK(poisoned, INFO(gone, 0))\n"
    return ObjectSpec.from_bytes(build_object(TYPES + asked + local), "kinds.o")


def answer(spec: ObjectSpec, name: str, before: ObjectSpec) -> int:
    """What the one relocated instruction of the function holds."""
    (relocation,) = before.functions[name].core
    code = spec.functions[name].code
    found = insn.decode(code, relocation.index)
    high = insn.decode(code, relocation.index + 1).imm if found.opcode == insn.LD_IMM64 else 0
    return (high & 0xFFFFFFFF) << 32 | found.imm & 0xFFFFFFFF


@pytest.mark.parametrize("name", CASES)
def test_each_kind(spec: ObjectSpec, kernel: Btf, name: str) -> None:
    expected = CASES[name][1]
    fitted = apply_core(spec, kernel)
    assert answer(fitted, name, spec) == (kernel.find(expected, Kind.STRUCT) if isinstance(expected, str) else expected)
    assert not fitted.functions[name].unresolved
    assert not fitted.functions[name].core


def test_the_id_of_the_objects_own_type(spec: ObjectSpec, kernel: Btf) -> None:
    assert spec.btf is not None
    assert answer(apply_core(spec, kernel), "local_id", spec) == spec.btf.find("thing", Kind.STRUCT)


def test_clang_wrote_every_kind(spec: ObjectSpec) -> None:
    assert {each.kind for function in spec.functions.values() for each in function.core} == set(CoreKind)


def test_what_is_missing_is_poisoned_and_explained(spec: ObjectSpec, kernel: Btf) -> None:
    function = apply_core(spec, kernel).functions["poisoned"]
    (unresolved,) = function.unresolved
    assert insn.decode(function.code, unresolved.index) == insn.Instruction(insn.CALL, imm=POISON)
    assert re.match(r"kinds.o: function 'poisoned', \S+:\d+ \(`ASK\(poisoned, INFO\(gone, 0\)\)`\): ", unresolved.reason)
    assert "struct thing of the kernel has no member 'gone'" in unresolved.reason
    assert unresolved.reason.endswith("; guard it with bpf_core_field_exists()")


def test_the_spec_itself_is_not_changed(spec: ObjectSpec, kernel: Btf) -> None:
    before = {name: function.code for name, function in spec.functions.items()}
    apply_core(spec, kernel)
    assert {name: function.code for name, function in spec.functions.items()} == before
    assert all(function.core for function in spec.functions.values())


def damaged(data: bytes, places: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for place, value in places:
        changed[place % len(changed)] = value
    return bytes(changed)


DAMAGE = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6)


@given(DAMAGE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_types_of_a_kernel_are_an_object_error_or_taken(
    spec: ObjectSpec, kernel: Btf, places: list[tuple[int, int]]
) -> None:
    with suppress(ObjectError):
        apply_core(spec, Btf.from_bytes(damaged(kernel.to_bytes(), places)))


@given(DAMAGE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_relocations_are_an_object_error_or_taken(
    build_object: Callable[..., bytes], kernel: Btf, places: list[tuple[int, int]]
) -> None:
    data = build_object(TYPES + "ASK(f, INFO(bits, 4)) ASK(g, ENUM(enum color, RED, 1)) ASK(h, INFO(in[1].a, 0))")
    start = data.index(b"\x9f\xeb\x01\x00\x20")  # of .BTF.ext, whose header has 32 bytes
    with suppress(ObjectError):
        apply_core(
            ObjectSpec.from_bytes(data[:start] + damaged(data[start : start + 400], places) + data[start + 400 :], "x.o"),
            kernel,
        )
