"""Objects of one function with CO-RE relocations, written by hand, so that tests can also write what no compiler would."""

from __future__ import annotations

from rawbtf import BtfWriter

from ebpfnn.obj import Btf, CoreKind, CoreRelocation, Function, ObjectSpec, insn
from ebpfnn.obj.insn import Instruction

MOVE = Instruction(insn.MOV64_IMM)


def struct_btf(name: str = "thing", *members: tuple[str, int], size: int = 64, member_size: int = 4) -> Btf:
    """A struct (id 2) with ``members`` (name, byte offset), all of one unsigned integer (id 1)."""
    writer = BtfWriter()
    number = writer.integer("unsigned", member_size)
    writer.struct(name, size, *((member, number, offset * 8) for member, offset in members))
    return writer.btf()


def one_relocation(
    btf: Btf, *code: Instruction, access: str = "0:0", kind: CoreKind = CoreKind.FIELD_BYTE_OFFSET, type_id: int = 2
) -> ObjectSpec:
    """An object whose function ``f`` begins with ``code``, the first of it relocated."""
    relocation = CoreRelocation(0, kind, type_id, access)
    body = b"".join(each.encode() for each in (*code, Instruction(insn.EXIT)))
    return ObjectSpec("hand.o", "GPL", btf, {"f": Function("f", body, core=(relocation,))})
