"""BPF instructions as bytes: 8 each, little-endian (RFC 9669, section 3).

Code stays ``bytes`` throughout ebpfnn.obj. Functions that need an instruction decode it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

SIZE = 8
_LAYOUT = struct.Struct("<BBhi")
_OFFSET = struct.Struct("<h")
encode = _LAYOUT.pack
"""The bytes of an opcode, both registers (the source in the upper half), an offset and an immediate; makes no object."""

LD_IMM64 = 0x18  # BPF_LD | BPF_IMM | BPF_DW: the one instruction that takes two places
CALL = 0x85  # BPF_JMP | BPF_CALL
EXIT = 0x95  # BPF_JMP | BPF_EXIT
MOV64_IMM = 0xB7  # BPF_ALU64 | BPF_MOV | BPF_K

# The pseudo source registers of LD_IMM64 and CALL (include/uapi/linux/bpf.h).
PSEUDO_MAP_FD = 1
PSEUDO_MAP_VALUE = 2
PSEUDO_BTF_ID = 3
PSEUDO_FUNC = 4
PSEUDO_CALL = 1
PSEUDO_KFUNC_CALL = 2


class Instruction(NamedTuple):
    """One 8-byte instruction; the fields are named as in RFC 9669."""

    opcode: int
    dst: int = 0
    src: int = 0
    offset: int = 0
    imm: int = 0

    def encode(self) -> bytes:
        return _LAYOUT.pack(self.opcode, self.src << 4 | self.dst, self.offset, self.imm)


def decode(code: bytes | bytearray, index: int) -> Instruction:
    """The instruction at ``index``, counted in instructions."""
    opcode, registers, offset, imm = _LAYOUT.unpack_from(code, index * SIZE)
    return Instruction(opcode, registers & 15, registers >> 4, offset, imm)


def decode_all(code: bytes | bytearray) -> Iterator[Instruction]:
    """Every instruction in order; the second half of an LD_IMM64 comes as an instruction of opcode 0."""
    for opcode, registers, offset, imm in _LAYOUT.iter_unpack(code):
        yield Instruction(opcode, registers & 15, registers >> 4, offset, imm)


def patch(code: bytearray, index: int, instruction: Instruction) -> None:
    """Overwrites the instruction at ``index``."""
    code[index * SIZE : (index + 1) * SIZE] = instruction.encode()


def with_offset(code: bytes, offset: int) -> bytes:
    """The instruction ``code`` with another offset."""
    return code[:2] + _OFFSET.pack(offset) + code[4:]


def signed(value: int) -> int:
    """The low 32 bits as an instruction's immediate."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def trivial_program() -> bytes:
    """``r0 = 0; exit``: the smallest program every type accepts, for probes."""
    return Instruction(MOV64_IMM).encode() + Instruction(EXIT).encode()
