"""Instructions assembled: what the disassembler reads back, labels, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpfnn.errors import ObjectError
from ebpfnn.obj import RelocationKind
from ebpfnn.obj.asm import R0, R1, R2, R3, R10, Assembler, Register
from ebpfnn.obj.disasm import disassemble


def text(asm: Assembler) -> list[str]:
    return [line.split(" ", 1)[1] for _, line in disassemble(asm.function("f").code)]


@pytest.mark.parametrize("operator", ["+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "%=", "^=", "=", "s>>="])
@pytest.mark.parametrize(("operand", "wide", "narrow"), [(R2, "r2", "w2"), (7, "7", "7"), (-7, "-7", "-7")])
def test_operators_read_back_as_they_are_spelled(operator: str, operand: Register | int, wide: str, narrow: str) -> None:
    asm = Assembler()
    asm.alu(R1, operator, operand)
    asm.alu32(R1, operator, operand)
    assert text(asm) == [f"r1 {operator} {wide}", f"w1 {operator} {narrow}"]


@pytest.mark.parametrize("size", ["u8", "u16", "u32", "u64", "s8", "s16", "s32"])
def test_loads_and_stores(size: str) -> None:
    asm = Assembler()
    asm.load(R1, size, R10, -8)
    assert text(asm) == [f"r1 = *({size} *)(r10 -8)"]
    if size.startswith("u"):
        asm.store(size, R10, -8, R3)
        asm.store(size, R10, -8, -1)
        assert text(asm)[1:] == [f"*({size} *)(r10 -8) = r3", f"*({size} *)(r10 -8) = -1"]


@given(st.integers(0, (1 << 64) - 1))
def test_any_64_bits_can_be_moved(value: int) -> None:
    asm = Assembler()
    asm.wide(R1, value)
    assert text(asm) == [f"r1 = 0x{value:x}"]


def test_the_shorter_move_is_taken() -> None:
    asm = Assembler()
    for value in (-(1 << 31), (1 << 31) - 1, 1 << 31):
        asm.mov(R1, value)
    assert text(asm) == ["r1 = -2147483648", "r1 = 2147483647", "r1 = 0x80000000"]


@pytest.mark.parametrize("condition", ["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"])
def test_jumps_reach_their_labels(condition: str) -> None:
    asm = Assembler()
    asm.label("back")
    asm.jump_if(R1, condition, R2, "on")
    asm.jump_if(R1, condition, 3, "back")
    asm.label("on")
    asm.exit()
    assert text(asm) == [f"if r1 {condition} r2 goto pc+1", f"if r1 {condition} 0x3 goto pc-2", "exit"]


def test_other_instructions() -> None:
    asm = Assembler()
    asm.negate(R1)
    asm.may_goto("end")
    asm.goto("end")
    asm.call(5)
    asm.label("end")
    asm.exit()
    assert text(asm) == ["r1 = -r1", "may_goto pc+2", "goto pc+1", "call helper#5", "exit"]
    assert len(asm) == 5


def test_symbols_become_relocations() -> None:
    asm = Assembler()
    asm.map_value(R1, "table", 16)
    asm.function_address(R2, "callback")
    asm.call_kernel("bpf_iter_num_next")
    found = [(each.index, each.kind, each.symbol, each.addend) for each in asm.function("f").relocations]
    assert found == [
        (0, RelocationKind.DATA, "table", 16),
        (2, RelocationKind.FUNCTION, "callback", 0),
        (4, RelocationKind.KFUNC, "bpf_iter_num_next", 0),
    ]


def test_fresh_labels_differ() -> None:
    asm = Assembler()
    assert asm.fresh("loop") != asm.fresh("loop")


def far(distance: int) -> Assembler:
    asm = Assembler()
    asm.goto("end")
    for _ in range(distance):
        asm.mov(R0, 0)
    asm.label("end")
    asm.exit()
    return asm


def test_the_farthest_jump() -> None:
    assert text(far(32767))[0] == "goto pc+32767"
    with pytest.raises(ObjectError, match="function 'f' jumps 32768 instructions, to 'end'; the limit is 32767"):
        far(32768).function("f")


def test_what_is_refused() -> None:
    asm = Assembler()
    asm.label("here")
    with pytest.raises(ObjectError, match="label 'here' is placed twice"):
        asm.label("here")
    asm.goto("nowhere")
    with pytest.raises(ObjectError, match="jumps to 'nowhere', but it has no such label"):
        asm.function("f")
    with pytest.raises(ObjectError, match="offset 32768 does not fit the 16 bits"):
        asm.load(R0, "u8", R1, 1 << 15)


@pytest.mark.parametrize("size", ["u32", "u64"])
def test_atomic_additions_need_no_former_value(size: str) -> None:
    asm = Assembler()
    asm.add_atomically(size, R1, 16, R2)
    assert text(asm) == [f"lock *({size} *)(r1 +16) += r2"]
    assert asm.function("f").code[4:] == bytes(4)  # BPF_XADD: Linux 5.10 knows no other operation


def test_functions_are_called_by_name() -> None:
    asm = Assembler()
    asm.call_function("other")
    asm.exit()
    function = asm.function("f")
    assert [(each.index, each.kind, each.symbol) for each in function.relocations] == [(0, RelocationKind.CALL, "other")]
    assert text(asm)[0] == "call pc-1"
