"""Disassembles BPF instructions, in the syntax of the verifier's log (kernel/bpf/disasm.c, Linux 6.18; RFC 9669, ISA v1 to v4).

:mod:`ebpfnn.obj.asm` does the reverse.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import insn
from .insn import Instruction

# Bits 4 to 7 of the opcode, in order from 0.
_ALU = ("+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "", "%=", "^=", "=", "s>>=", "", "", "")
_JUMPS = ("", "==", ">", ">=", "&", "!=", "s>", "s>=", "", "", "<", "<=", "s<", "s<=", "", "")
_SIZES = {0x00: "u32", 0x08: "u16", 0x10: "u8", 0x18: "u64"}
_NEGATE, _END, _MOVE = 0x80, 0xD0, 0xB0
_ALU32, _JMP, _JMP32, _ALU64 = 4, 5, 6, 7
_BY_REGISTER = 0x08
_ABS, _IND, _MEM, _MEMSX, _ATOMIC = 0x20, 0x40, 0x60, 0x80, 0xC0
_JA, _CALL, _EXIT, _MAY_GOTO = 0x00, 0x80, 0x90, 0xE0
_PSEUDO_KFUNC = 2
_FETCH, _XCHG, _CMPXCHG, _LOAD_ACQUIRE, _STORE_RELEASE = 0x01, 0xE1, 0xF1, 0x100, 0x110
_ADDRESSES = {1: "map[fd:{low}]", 2: "map[fd:{low}]+{high}", 3: "btf[{low}]", 4: "func pc{low:+d}"}


def disassemble(code: bytes) -> Iterator[tuple[int, str]]:
    """The index and text of each instruction; one of 16 bytes appears once. An invalid one is ``BUG_xx``, as in the log."""
    second_half = False
    for index, found in enumerate(insn.decode_all(code)):
        if not second_half:
            wide = found.opcode == insn.LD_IMM64 and (index + 2) * insn.SIZE <= len(code)
            high = insn.decode(code, index + 1).imm if wide else 0
            yield index, f"({found.opcode:02x}) {_text(found, high)}"
            second_half = wide
        else:
            second_half = False


def _text(found: Instruction, high: int) -> str:
    kind = found.opcode & 7
    if kind in (_ALU32, _ALU64):
        return _alu(found)
    if kind in (_JMP, _JMP32):
        return _jump(found)
    if found.opcode == insn.LD_IMM64:
        return _address(found, high)
    return _memory(found)


def _alu(found: Instruction) -> str:
    operation, wide = found.opcode & 0xF0, found.opcode & 7 == _ALU64
    letter = "r" if wide else "w"
    dst = f"{letter}{found.dst}"
    if operation == _END:
        order = "bswap" if wide else "be" if found.opcode & _BY_REGISTER else "le"
        return f"r{found.dst} = {order}{found.imm} r{found.dst}"
    if operation == _NEGATE:
        return f"{dst} = -{dst}"
    operator = _ALU[operation >> 4]
    if not operator:
        return _bug(found)
    signed = "s" if found.offset == 1 and operation in (0x30, 0x90) else ""
    if not found.opcode & _BY_REGISTER:
        return f"{dst} {signed}{operator} {found.imm}"
    if operation == _MOVE and wide and found.offset == 1:
        return f"r{found.dst} = addr_space_cast(r{found.src}, {found.imm >> 16 & 0xFFFF}, {found.imm & 0xFFFF})"
    cast = f"(s{found.offset})" if operation == _MOVE and found.offset in (8, 16, 32) else ""
    return f"{dst} {signed}{operator} {cast}{letter}{found.src}"


def _jump(found: Instruction) -> str:
    operation, letter = found.opcode & 0xF0, "r" if found.opcode & 7 == _JMP else "w"
    if operation == _CALL:
        return _call(found)
    if operation == _EXIT:
        return "exit"
    if operation == _JA:
        return f"goto pc{found.offset:+d}" if letter == "r" else f"gotol pc{found.imm:+d}"
    if operation == _MAY_GOTO:
        return f"may_goto pc{found.offset:+d}"
    operator = _JUMPS[operation >> 4]
    if not operator:
        return _bug(found)
    operand = f"{letter}{found.src}" if found.opcode & _BY_REGISTER else f"0x{found.imm & 0xFFFFFFFF:x}"
    return f"if {letter}{found.dst} {operator} {operand} goto pc{found.offset:+d}"


def _call(found: Instruction) -> str:
    if found.src == insn.PSEUDO_CALL:
        return f"call pc{found.imm:+d}"
    return "call kernel-function" if found.src == _PSEUDO_KFUNC else f"call helper#{found.imm}"


def _address(found: Instruction, high: int) -> str:
    if found.src in _ADDRESSES:
        return f"r{found.dst} = {_ADDRESSES[found.src].format(low=found.imm, high=high)}"
    return f"r{found.dst} = 0x{(high & 0xFFFFFFFF) << 32 | found.imm & 0xFFFFFFFF:x}"


def _memory(found: Instruction) -> str:
    kind, mode, size = found.opcode & 7, found.opcode & 0xE0, _SIZES[found.opcode & 0x18]
    if kind == 0 and mode == _ABS:
        return f"r0 = *({size} *)skb[{found.imm}]"
    if kind == 0 and mode == _IND:
        return f"r0 = *({size} *)skb[r{found.src} + {found.imm}]"
    if kind == 1 and mode in (_MEM, _MEMSX):
        size = size if mode == _MEM else size.replace("u", "s")
        return f"r{found.dst} = *({size} *)(r{found.src} {found.offset:+d})"
    place = f"*({size} *)(r{found.dst} {found.offset:+d})"
    if kind == 2 and mode == _MEM:
        return f"{place} = {found.imm}"
    if kind == 3 and mode == _MEM:
        return f"{place} = r{found.src}"
    return _atomic(found, size, place) if kind == 3 and mode == _ATOMIC else _bug(found)


def _atomic(found: Instruction, size: str, place: str) -> str:
    width = "64" if size == "u64" else ""
    pointer = place[1:]
    operation = found.imm & ~_FETCH
    names = {0x00: "add", 0x40: "or", 0x50: "and", 0xA0: "xor"}
    if found.imm == _CMPXCHG:
        return f"r0 = atomic{width}_cmpxchg({pointer}, r0, r{found.src})"
    if found.imm == _XCHG:
        return f"r{found.src} = atomic{width}_xchg({pointer}, r{found.src})"
    if found.imm == _LOAD_ACQUIRE:
        return f"r{found.dst} = load_acquire(({size} *)(r{found.src} {found.offset:+d}))"
    if found.imm == _STORE_RELEASE:
        return f"store_release({pointer}, r{found.src})"
    if operation not in names:
        return _bug(found)
    if found.imm & _FETCH:
        return f"r{found.src} = atomic{width}_fetch_{names[operation]}({pointer}, r{found.src})"
    return f"lock {place} {_ALU[operation >> 4]} r{found.src}"


def _bug(found: Instruction) -> str:
    return f"BUG_{found.opcode:02x}"
