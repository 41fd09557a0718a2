"""CO-RE: which types are candidates, which instructions are patched and how, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from cores import MOVE, one_relocation, struct_btf
from rawbtf import BtfWriter

from ebpfnn.errors import ObjectError
from ebpfnn.obj import (
    Btf,
    CoreKind,
    Function,
    Kind,
    ObjectSpec,
    Relocation,
    RelocationKind,
    apply_core,
    build_image,
    insn,
    link,
)
from ebpfnn.obj.core import core
from ebpfnn.obj.core.core_patch import POISON
from ebpfnn.obj.image import reached
from ebpfnn.obj.insn import Instruction

ALU32_MOVE, ADD = 0xB4, 0x07
FOUR = Instruction(insn.MOV64_IMM, 3, imm=4)
LOADS = {1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79}
STORES = {1: 0x73, 2: 0x6B, 4: 0x63, 8: 0x7B}
STORE_IMMEDIATE = 0x62
LOCAL = struct_btf("thing", ("x", 4))


def first(spec: ObjectSpec) -> Instruction:
    return insn.decode(spec.functions["f"].code, 0)


@pytest.mark.parametrize("opcode", [insn.MOV64_IMM, ALU32_MOVE, ADD])
def test_immediates(opcode: int) -> None:
    fitted = apply_core(one_relocation(LOCAL, Instruction(opcode, 3, imm=4)), struct_btf("thing", ("x", 40)))
    assert first(fitted) == Instruction(opcode, 3, imm=40)


@pytest.mark.parametrize("opcode", [LOADS[4], STORES[4], STORE_IMMEDIATE])
def test_offsets_of_loads_and_stores(opcode: int) -> None:
    fitted = apply_core(one_relocation(LOCAL, Instruction(opcode, 1, 2, 4, 77)), struct_btf("thing", ("x", 40)))
    assert first(fitted) == Instruction(opcode, 1, 2, 40, 77)


def test_wide_immediates_are_replaced_whole() -> None:
    spec = one_relocation(LOCAL, Instruction(insn.LD_IMM64, 1, imm=4), Instruction(0))
    fitted = apply_core(spec, struct_btf("thing", ("x", 40)))
    assert fitted.functions["f"].code[:16] == Instruction(insn.LD_IMM64, 1, imm=40).encode() + Instruction(0).encode()


@pytest.mark.parametrize("target_size", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("opcodes", [LOADS, STORES])
def test_unsigned_integers_are_read_at_the_kernels_size(opcodes: dict[int, int], size: int, target_size: int) -> None:
    spec = one_relocation(struct_btf("thing", ("x", 8), member_size=size), Instruction(opcodes[size], 1, 2, 8))
    fitted = apply_core(spec, struct_btf("thing", ("x", 16), member_size=target_size))
    assert first(fitted) == Instruction(opcodes[target_size], 1, 2, 16)


def signed(size: int) -> Btf:
    writer = BtfWriter()
    writer.struct("thing", 64, ("x", writer.add(Kind.INT, "int", size, 1 << 24 | size * 8), 0))
    writer.struct("thing", 64, ("x", 1, 0))
    return writer.btf()


def test_signed_integers_of_another_size_are_not_read() -> None:
    fitted = apply_core(one_relocation(signed(4), Instruction(LOADS[4], 1, 2, 0)), signed(8))
    assert first(fitted).imm == POISON
    assert "thing::x takes 4 bytes in the object and 8 in the kernel" in fitted.functions["f"].unresolved[0].reason


def test_the_address_of_a_field_of_another_size_is_taken() -> None:
    assert first(apply_core(one_relocation(signed(4), MOVE), signed(8))) == MOVE


def test_a_poisoned_wide_immediate_is_poisoned_whole() -> None:
    spec = one_relocation(LOCAL, Instruction(insn.LD_IMM64, 1, imm=4), Instruction(0))
    poison = Instruction(insn.CALL, imm=POISON).encode()
    assert apply_core(spec, struct_btf("thing", ("y", 4))).functions["f"].code[:16] == poison * 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (MOVE._replace(imm=5), "the instruction holds 5 but the types say 4"),
        (Instruction(LOADS[4], 1, 2, 12), "the instruction holds 12 but the types say 4"),
        (Instruction(0x0F, 1, 2), "opcode 0xf"),
        (Instruction(insn.CALL, imm=4), "opcode 0x85"),
        (Instruction(insn.LD_IMM64, 1, 1, imm=4), "opcode 0x18"),
    ],
)
def test_instructions_that_contradict_the_types(code: Instruction, words: str) -> None:
    with pytest.raises(ObjectError, match=f"hand.o: function 'f', instruction 0: .*{words}"):
        apply_core(one_relocation(LOCAL, code, Instruction(0)), struct_btf("thing", ("x", 8)))


def test_an_offset_that_no_load_reaches() -> None:
    with pytest.raises(ObjectError, match="has the field at byte 40000, which is too far for one load"):
        apply_core(one_relocation(LOCAL, Instruction(LOADS[4], 1, 2, 4)), struct_btf("thing", ("x", 40000), size=50000))


def test_a_negative_offset() -> None:
    writer = BtfWriter()
    writer.add(Kind.ENUM, "color", 4, writer.string("RED"), 0xFFFF0000, vlen=1, flag=True)
    load = Instruction(LOADS[4], 1, 2, 0)
    with pytest.raises(ObjectError, match="too far for one load"):
        apply_core(one_relocation(writer.btf(), load, access="0", kind=CoreKind.ENUMVAL_VALUE, type_id=1), writer.btf())


def test_a_relocation_past_the_function() -> None:
    spec = one_relocation(LOCAL, MOVE._replace(imm=4))
    spec.functions["f"] = Function("f", b"", core=spec.functions["f"].core)
    with pytest.raises(ObjectError, match="past the function's end"):
        apply_core(spec, LOCAL)


@pytest.mark.parametrize("access", ["", ":", "a", "0:9", "0:0:0", "-1:0", "0:-1", ":".join("0" * 65), "0:0:"])
def test_accesses_that_lead_nowhere(access: str) -> None:
    with pytest.raises(ObjectError, match="does not exist in thing"):
        apply_core(one_relocation(LOCAL, MOVE, access=access), LOCAL)


def test_anonymous_types_are_not_looked_for() -> None:
    with pytest.raises(ObjectError, match="type 2 \\(struct\\) is anonymous"):
        apply_core(one_relocation(struct_btf("", ("x", 4)), MOVE._replace(imm=4)), LOCAL)


def test_an_object_without_btf() -> None:
    spec = one_relocation(LOCAL, MOVE)
    spec.btf = None
    with pytest.raises(ObjectError, match="CO-RE relocations without BTF"):
        apply_core(spec, LOCAL)


@pytest.mark.parametrize("ours", ["thing", "thing___old"])
@pytest.mark.parametrize("theirs", ["thing", "thing___2"])
def test_flavors_are_the_same_type(ours: str, theirs: str) -> None:
    spec = one_relocation(struct_btf(ours, ("x", 4)), MOVE._replace(imm=4))
    assert first(apply_core(spec, struct_btf(theirs, ("x", 12)))).imm == 12


@pytest.mark.parametrize("theirs", ["thing__x", "things", "thing____x", "a___thing"])
def test_other_names_are_other_types(theirs: str) -> None:
    fitted = apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), struct_btf(theirs, ("x", 12)))
    assert "the kernel has no struct thing" in fitted.functions["f"].unresolved[0].reason


def two(*layouts: list[tuple[str, int]]) -> Btf:
    writer = BtfWriter()
    number = writer.integer("unsigned")
    for layout in layouts:
        writer.struct("thing", 64, *((name, number, offset * 8) for name, offset in layout))
    return writer.btf()


def test_candidates_that_agree() -> None:
    target = two([("x", 8)], [("y", 0), ("x", 8)], [("y", 0)])
    assert first(apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), target)).imm == 8


def test_candidates_that_disagree() -> None:
    with pytest.raises(ObjectError, match=r"thing::x byte_off is ambiguous: .* say 12 at bit 96 and 8 at bit 64"):
        apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), two([("x", 8)], [("x", 12)]))


def test_modules_are_asked_only_for_what_the_kernel_lacks() -> None:
    def targets() -> Iterator[Btf]:
        yield struct_btf("thing", ("x", 20))
        raise AssertionError("a module was read")

    assert first(apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), targets())).imm == 20


def test_no_reason_is_looked_for_until_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("ebpfnn.obj.core.core.similar_types", lambda name, *rest: [asked.append(name) or "things"])
    fitted = apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), struct_btf("other", ("x", 4)))
    assert not asked
    assert "the kernel has no struct thing; it has things" in fitted.functions["f"].unresolved[0].reason
    assert asked == ["thing"]


def test_types_of_modules() -> None:
    base = struct_btf("other", ("x", 20))
    writer = BtfWriter()
    members = (base.string_bytes + writer.string("x"), 1, 24 * 8)
    writer.add(Kind.STRUCT, "", 64, *members, vlen=1)
    name = base.string_bytes + writer.string("thing")
    types = name.to_bytes(4, "little") + writer.types[4:]
    module = Btf(types, writer.strings, base)
    assert first(apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), [base, module])).imm == 24


def test_a_field_under_another_type_is_told() -> None:
    writer = BtfWriter()
    writer.struct("thing", 64, ("x", writer.add(Kind.FLOAT, "double", 8), 0))
    reason = apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), writer.btf()).functions["f"].unresolved[0].reason
    assert "'x' in thing of the kernel is of type double (float), in the object unsigned (int)" in reason


def test_members_of_like_names_are_told() -> None:
    target = struct_btf("thing", ("xs", 0), ("y", 4), ("exit_x", 8))
    writer = BtfWriter()
    writer.struct("thing", 64, ("exit_z", writer.integer("unsigned"), 0))
    reason = apply_core(one_relocation(writer.btf(), MOVE), target).functions["f"].unresolved[0].reason
    assert "struct thing of the kernel has no member 'exit_z'; it has 'exit_x'" in reason


def test_types_of_like_names_are_told() -> None:
    spec = one_relocation(struct_btf("task_structs", ("x", 4)), MOVE._replace(imm=4))
    reason = apply_core(spec, struct_btf("task_struct", ("x", 4))).functions["f"].unresolved[0].reason
    assert "the kernel has no struct task_structs; it has task_struct; guard it" in reason


def struct_after_array(length: int) -> Btf:
    writer = BtfWriter()
    writer.integer("unsigned")
    writer.add(Kind.PTR, "", 1)
    writer.struct("thing", 64, ("x", writer.array(1, length), 0))
    return writer.btf()


def test_elements_past_the_kernels_array() -> None:
    spec = one_relocation(struct_after_array(8), MOVE._replace(imm=20), access="0:0:5", type_id=4)
    assert first(apply_core(spec, struct_after_array(6))).imm == 20
    reason = apply_core(spec, struct_after_array(5)).functions["f"].unresolved[0].reason
    assert "thing::x of the kernel has 5 elements" in reason


def test_the_open_end_of_a_struct_has_any_element() -> None:
    spec = one_relocation(struct_after_array(0), MOVE._replace(imm=400), access="0:0:100", type_id=4)
    assert first(apply_core(spec, struct_after_array(0))).imm == 400


def test_anonymous_members_that_never_end() -> None:
    writer = BtfWriter()
    writer.struct("thing", 64, ("", 1, 0), ("", 1, 0))
    assert first(apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), writer.btf())).imm == POISON


def test_anonymous_members_that_double_at_every_level() -> None:
    writer = BtfWriter()
    below = writer.struct("", 64, ("y", writer.integer("unsigned"), 0))
    for _ in range(60):
        below = writer.struct("", 64, ("", below, 0), ("", below, 0))
    writer.struct("thing", 64, ("", below, 0))
    assert first(apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), writer.btf())).imm == POISON


def test_anonymous_members_without_end() -> None:
    writer = BtfWriter()
    below = writer.integer("unsigned")
    for _ in range(2000):
        below = writer.struct("", 64, ("", below, 0))
    writer.struct("thing", 64, ("", below, 0))
    with pytest.raises(ObjectError, match="anonymous members"):
        apply_core(one_relocation(LOCAL, MOVE._replace(imm=4)), writer.btf())


@pytest.mark.parametrize("bits", [60 << 24 | 10, 60 << 24 | 70])
def test_a_bit_field_that_no_load_holds(bits: int) -> None:
    writer = BtfWriter()
    writer.struct("thing", 64, ("x", writer.integer("unsigned long", 8), bits), flag=True)
    with pytest.raises(ObjectError, match="no load of up to 8 bytes holds the bit-field"):
        apply_core(one_relocation(LOCAL, MOVE._replace(imm=4), kind=CoreKind.FIELD_LSHIFT_U64), writer.btf())


def test_linking_moves_the_types_of_relocations() -> None:
    second = one_relocation(struct_btf("thing", ("x", 4)), MOVE._replace(imm=4))
    first_spec = ObjectSpec("first.o", "GPL", struct_btf("elsewhere", ("x", 0)), {"g": Function("g", b"")})
    joined = link(first_spec, second)
    assert joined.btf is not None
    assert joined.btf[joined.functions["f"].core[0].type_id].name == "thing"


def test_what_is_missing_is_found_in_the_image() -> None:
    spec = one_relocation(LOCAL, MOVE._replace(imm=4))
    call = Instruction(insn.CALL, 0, insn.PSEUDO_CALL, 0, -1).encode() + Instruction(insn.EXIT).encode()
    spec.functions["main"] = Function("main", call, (Relocation(0, RelocationKind.CALL, "f"),))
    (unresolved,) = build_image(apply_core(spec, struct_btf("thing", ("y", 0))), "main").unresolved
    assert unresolved.index == 2
    assert "no member 'x'" in unresolved.reason


def test_what_is_asked_again_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    real = core.match
    monkeypatch.setattr(core, "match", lambda *given: asked.append(given) or real(*given))
    spec = one_relocation(LOCAL, FOUR)
    (relocation,) = spec.functions["f"].core
    code = FOUR.encode() * 500 + insn.Instruction(insn.EXIT).encode()
    many = replace(spec.functions["f"], code=code, core=tuple(replace(relocation, index=index) for index in range(500)))
    spec.functions = {"f": many, "g": replace(many, name="g")}
    fitted = apply_core(spec, struct_btf("thing", ("x", 40)))
    for function in fitted.functions.values():
        assert function.code == FOUR._replace(imm=40).encode() * 500 + insn.Instruction(insn.EXIT).encode()
    assert len(asked) == 1


def test_an_absence_that_is_asked_again_is_told_at_each_place() -> None:
    spec = one_relocation(LOCAL, FOUR)
    (relocation,) = spec.functions["f"].core
    code = FOUR.encode() * 2
    spec.functions["f"] = replace(spec.functions["f"], code=code, core=(relocation, replace(relocation, index=1)))
    unresolved = apply_core(spec, struct_btf("thing", ("y", 4))).functions["f"].unresolved
    assert [each.reason.partition(": struct")[0] for each in unresolved] == [
        "hand.o: function 'f', instruction 0",
        "hand.o: function 'f', instruction 1",
    ]


def test_functions_that_nothing_needs_go_on_waiting() -> None:
    spec = one_relocation(LOCAL, FOUR)
    spec.functions["g"] = replace(spec.functions["f"], name="g")
    fitted = apply_core(spec, struct_btf("thing", ("x", 40)), functions={"f"})
    assert first(fitted) == FOUR._replace(imm=40)
    assert fitted.functions["g"] is spec.functions["g"]
    assert apply_core(spec, struct_btf("thing", ("x", 40)), functions={"h"}) is spec


def test_what_programs_reach() -> None:
    calls = {name: (Relocation(0, RelocationKind.CALL, callee),) for name, callee in (("a", "b"), ("b", "c"), ("d", "away"))}
    spec = one_relocation(LOCAL, FOUR)
    spec.functions = {name: Function(name, b"", calls.get(name, ())) for name in "abcd"}
    assert reached(spec, ["a"]) == {"a", "b", "c"}
    assert reached(spec, ["d"]) == {"d", "away"}
    assert reached(spec, []) == set()
