"""Instructions as bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ebpfnn.obj import insn
from ebpfnn.obj.insn import Instruction

instructions = st.builds(
    Instruction,
    st.integers(0, 255),
    st.integers(0, 15),
    st.integers(0, 15),
    st.integers(-(2**15), 2**15 - 1),
    st.integers(-(2**31), 2**31 - 1),
)


def test_the_layout_is_that_of_rfc_9669() -> None:
    encoded = Instruction(opcode=0x61, dst=2, src=1, offset=-8, imm=0x01020304).encode()
    assert encoded == bytes([0x61, 0x12, 0xF8, 0xFF, 4, 3, 2, 1])


@given(st.lists(instructions, min_size=1))
def test_decoding_undoes_encoding(program: list[Instruction]) -> None:
    code = b"".join(each.encode() for each in program)
    assert list(insn.decode_all(code)) == program
    assert [insn.decode(code, index) for index in range(len(program))] == program


@given(st.lists(instructions, min_size=1), instructions, st.data())
def test_patching_changes_one_instruction(program: list[Instruction], new: Instruction, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(program) - 1))
    code = bytearray(b"".join(each.encode() for each in program))
    insn.patch(code, index, new)
    program[index] = new
    assert list(insn.decode_all(code)) == program


def test_the_trivial_program_returns_0() -> None:
    move, leave = insn.decode_all(insn.trivial_program())
    assert (move.opcode, move.dst, move.imm, leave.opcode) == (insn.MOV64_IMM, 0, 0, insn.EXIT)
