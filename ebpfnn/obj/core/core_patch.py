"""Writes the value of a CO-RE relocation into its instruction.

It does what ``bpf_core_patch_insn`` does (tools/lib/bpf/relo_core.c, Linux 6.18).
"""

from __future__ import annotations

from ...errors import ObjectError
from .. import insn
from .core_value import Value

POISON = 195896080
"""The helper that a poisoned instruction calls: 0xbad2310 ("bad relo"), as in libbpf. No kernel has so many helpers."""
_LDX, _ST, _STX, _ALU, _ALU64 = 1, 2, 3, 4, 7
_SOURCE_REGISTER = 0x08  # BPF_X: the operand is a register
_SIZES = {4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18}  # BPF_W, BPF_H, BPF_B, BPF_DW
_LARGEST_OFFSET = 0x7FFF


def patch_value(code: bytearray, index: int, ours: Value, theirs: Value) -> None:
    """Replaces ``ours``, the value that the compiler wrote, by ``theirs``.

    Raises :class:`ObjectError` if the instruction contains another value or cannot contain the new value.
    """
    found = insn.decode(code, index)
    kind = found.opcode & 7
    if kind in (_ALU, _ALU64) and not found.opcode & _SOURCE_REGISTER:
        _expect(found.imm & 0xFFFFFFFF, ours, 32)
        insn.patch(code, index, found._replace(imm=insn.signed(theirs.value)))
    elif kind in (_LDX, _ST, _STX):
        insn.patch(code, index, _memory(found, ours, theirs))
    elif found.opcode == insn.LD_IMM64 and not found.src and (index + 2) * insn.SIZE <= len(code):
        high = insn.decode(code, index + 1)
        _expect((found.imm & 0xFFFFFFFF) | (high.imm & 0xFFFFFFFF) << 32, ours, 64)
        insn.patch(code, index, found._replace(imm=insn.signed(theirs.value)))
        insn.patch(code, index + 1, high._replace(imm=insn.signed(theirs.value >> 32)))
    else:
        raise ObjectError(f"a CO-RE relocation of an instruction with opcode {found.opcode:#x}; rebuild the object")


def accesses_memory(code: bytes | bytearray, index: int) -> bool:
    """Whether the instruction is a load or a store. For these, the size of the field matters."""
    return insn.decode(code, index).opcode & 7 in (_LDX, _ST, _STX)


def poison(code: bytearray, index: int) -> None:
    """Replaces the instruction by one that the verifier refuses if it is reached."""
    call = insn.Instruction(insn.CALL, imm=POISON)
    if insn.decode(code, index).opcode == insn.LD_IMM64 and (index + 2) * insn.SIZE <= len(code):
        insn.patch(code, index + 1, call)
    insn.patch(code, index, call)


def _memory(found: insn.Instruction, ours: Value, theirs: Value) -> insn.Instruction:
    _expect(found.offset & 0xFFFF, ours, 16)
    if not 0 <= theirs.value <= _LARGEST_OFFSET:
        raise ObjectError(
            f"the kernel has the field at byte {theirs.value}, which is too far for one load; read it with bpf_core_read()"
        )
    opcode = found.opcode
    if theirs.size != ours.size:
        if _SIZES.get(ours.size) != opcode & 0x18 or theirs.size not in _SIZES:
            raise ObjectError(
                f"a load of a field of {ours.size} bytes, {theirs.size} in the kernel, cannot be resized; use bpf_core_read()"
            )
        opcode = opcode & ~0x18 | _SIZES[theirs.size]
    return found._replace(opcode=opcode, offset=theirs.value)


def _expect(held: int, ours: Value, bits: int) -> None:
    if ours.certain and held != ours.value & ((1 << bits) - 1):
        raise ObjectError(f"the instruction holds {held} but the types say {ours.value}; rebuild the object")
