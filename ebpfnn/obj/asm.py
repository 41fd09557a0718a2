"""An assembler: instructions with labels and symbols in, a :class:`~ebpfnn.obj.spec.Function` out (RFC 9669, ISA v1 to v4).

Operators, sizes and conditions are spelled as :mod:`ebpfnn.obj.disasm` and the verifier's log print them: ``alu(R1, "+=", R2)``
assembles what reads ``r1 += r2``. An ``int`` operand is an immediate, a :class:`Register` a register.
"""

from __future__ import annotations

from enum import IntEnum

from ..errors import ObjectError
from . import insn
from .insn import encode
from .spec import Function, Line, Relocation, RelocationKind


class Register(IntEnum):
    """r0 to r9 have 64 bits each; r10 is read-only and points to the end of the function's 512-byte stack."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    R10 = 10


R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = Register

_ALU = {"+=": 0x00, "-=": 0x10, "*=": 0x20, "/=": 0x30, "|=": 0x40, "&=": 0x50, "<<=": 0x60, ">>=": 0x70}
_ALU |= {"%=": 0x90, "^=": 0xA0, "=": 0xB0, "s>>=": 0xC0}
_CONDITIONS = {"==": 0x10, ">": 0x20, ">=": 0x30, "&": 0x40, "!=": 0x50, "s>": 0x60, "s>=": 0x70}
_CONDITIONS |= {"<": 0xA0, "<=": 0xB0, "s<": 0xC0, "s<=": 0xD0}
_SIZES = {"u32": 0x00, "u16": 0x08, "u8": 0x10, "u64": 0x18, "s32": 0x00, "s16": 0x08, "s8": 0x10}
_LDX, _ST, _STX, _ALU32, _JMP, _JMP32, _ALU64 = 1, 2, 3, 4, 5, 6, 7
_MEM, _MEMSX, _ATOMIC = 0x60, 0x80, 0xC0
_NEGATE, _GOTO, _MAY_GOTO = 0x80, 0x05, 0xE5
_FARTHEST = 1 << 15  # the offset of a jump, a load or a store is a signed 16-bit number


class Assembler:
    """Collects instructions; every method that adds some is named for what they do."""

    def __init__(self) -> None:
        self._code: list[bytes] = []
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []
        self._relocations: list[Relocation] = []
        self._fresh = 0

    def __len__(self) -> int:
        return len(self._code)

    def alu(self, dst: Register, operator: str, operand: Register | int) -> None:
        """``dst operator operand`` in 64 bits; an immediate is 32 bits, sign-extended."""
        self._operate(_ALU64, _ALU[operator], dst, operand)

    def alu32(self, dst: Register, operator: str, operand: Register | int) -> None:
        """The same in 32 bits: the upper half of ``dst`` becomes 0."""
        self._operate(_ALU32, _ALU[operator], dst, operand)

    def mov(self, dst: Register, operand: Register | int) -> None:
        """``dst = operand``; an immediate of more than 32 bits takes 16 bytes."""
        if isinstance(operand, Register) or -(1 << 31) <= operand < 1 << 31:
            self.alu(dst, "=", operand)
        else:
            self.wide(dst, operand)

    def wide(self, dst: Register, value: int) -> None:
        """``dst = value``, any 64 bits, as an instruction of 16 bytes."""
        self._code += [
            encode(insn.LD_IMM64, dst, 0, insn.signed(value)),
            encode(0, 0, 0, insn.signed(value >> 32)),
        ]

    def negate(self, dst: Register) -> None:
        """``dst = -dst``."""
        self._add(_ALU64 | _NEGATE, dst)

    def load(self, dst: Register, size: str, base: Register, offset: int = 0) -> None:
        """``dst = *(size *)(base + offset)``; signed sizes (ISA v4, Linux 6.6) extend the sign."""
        _check_offset(offset)
        mode = _MEMSX if size.startswith("s") else _MEM
        self._add(mode | _SIZES[size] | _LDX, dst, base, offset)

    def store(self, size: str, base: Register, offset: int, value: Register | int) -> None:
        """``*(size *)(base + offset) = value``."""
        _check_offset(offset)
        if isinstance(value, Register):
            self._add(_MEM | _SIZES[size] | _STX, base, value, offset)
        else:
            self._add(_MEM | _SIZES[size] | _ST, base, 0, offset, value)

    def add_atomically(self, size: str, base: Register, offset: int, value: Register) -> None:
        """``*(size *)(base + offset) += value``, u32 or u64, whoever else adds at the same time (ISA v1: no former value)."""
        _check_offset(offset)
        self._add(_ATOMIC | _SIZES[size] | _STX, base, value, offset)

    def label(self, name: str) -> None:
        """Sets the label ``name`` to the next instruction. Raises :class:`ObjectError` if the label exists already."""
        if name in self._labels:
            raise ObjectError(f"label '{name}' is placed twice; take another name")
        self._labels[name] = len(self._code)

    def fresh(self, stem: str) -> str:
        """A label that does not exist yet."""
        self._fresh += 1
        return f"{stem}.{self._fresh}"

    def goto(self, label: str) -> None:
        self._jump(_GOTO, label)

    def may_goto(self, label: str) -> None:
        """Jumps once the kernel has counted 2^23 passages or a quarter of a second: bounds any loop (Linux 6.9)."""
        self._jump(_MAY_GOTO, label)

    def jump_if(self, left: Register, condition: str, right: Register | int, label: str) -> None:
        """Jumps to ``label`` if the 64-bit ``left condition right`` holds; ``&`` tests whether they have a bit in common."""
        opcode = _JMP | _CONDITIONS[condition]
        if isinstance(right, Register):
            self._jump(opcode | 0x08, label, left, right)
        else:
            self._jump(opcode, label, left, imm=right)

    def map(self, dst: Register, name: str) -> None:
        """``dst`` = the map ``name``, as helpers take it."""
        self._relocations.append(Relocation(len(self._code), RelocationKind.MAP, name))
        self.wide(dst, 0)

    def map_value(self, dst: Register, name: str, offset: int = 0) -> None:
        """``dst`` = the address of byte ``offset`` in the one element of the array map ``name`` (Linux 5.2)."""
        self._relocations.append(Relocation(len(self._code), RelocationKind.DATA, name, offset))
        self.wide(dst, 0)

    def call(self, helper: int) -> None:
        """Calls a kernel helper by number: arguments in r1 to r5, result in r0. Overwrites r1 to r5."""
        self._add(insn.CALL, imm=helper)

    def call_function(self, function: str) -> None:
        """Calls another BPF function by name, of this object or of one that it is linked with. Registers as in :meth:`call`."""
        self._relocations.append(Relocation(len(self._code), RelocationKind.CALL, function))
        self._add(insn.CALL, src=insn.PSEUDO_CALL, imm=-1)

    def call_kernel(self, function: str) -> None:
        """Calls a function of the kernel by name (a kfunc)."""
        self._relocations.append(Relocation(len(self._code), RelocationKind.KFUNC, function))
        self._add(insn.CALL, src=insn.PSEUDO_KFUNC_CALL, imm=-1)

    def function_address(self, dst: Register, function: str) -> None:
        """``dst`` = the address of another BPF function, for a callback (Linux 5.13)."""
        self._relocations.append(Relocation(len(self._code), RelocationKind.FUNCTION, function))
        self.wide(dst, 0)

    def exit(self) -> None:
        self._add(insn.EXIT)

    def function(self, name: str, type_id: int = 0, lines: tuple[Line, ...] = (), *, exported: bool = True) -> Function:
        """The assembled function. Raises :class:`ObjectError` for a jump to an unknown label, or one that is too far."""
        code = list(self._code)
        for index, label in self._jumps:
            if label not in self._labels:
                raise ObjectError(f"function '{name}' jumps to '{label}', but it has no such label")
            offset = self._labels[label] - index - 1
            if not -_FARTHEST <= offset < _FARTHEST:
                raise ObjectError(f"function '{name}' jumps {offset} instructions, to '{label}'; the limit is {_FARTHEST - 1}")
            code[index] = insn.with_offset(code[index], offset)
        return Function(name, b"".join(code), tuple(self._relocations), type_id, lines, exported)

    def _add(self, opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> None:
        self._code.append(encode(opcode, src << 4 | dst, offset, imm))

    def _operate(self, kind: int, operation: int, dst: Register, operand: Register | int) -> None:
        if isinstance(operand, Register):
            self._add(kind | operation | 0x08, dst, operand)
        else:
            self._add(kind | operation, dst, imm=operand)

    def _jump(self, opcode: int, label: str, left: int = 0, right: int = 0, imm: int = 0) -> None:
        self._jumps.append((len(self._code), label))
        self._add(opcode, left, right, imm=imm)


def _check_offset(offset: int) -> None:
    if not -_FARTHEST <= offset < _FARTHEST:
        raise ObjectError(f"offset {offset} does not fit the 16 bits of a load or store; add it to the base register")
