"""What the built shells hold, whichever clang built them: nothing that Linux 5.10 does not know."""

from __future__ import annotations

import struct

import pytest

from ebpfnn.built import OBJECTS
from ebpfnn.obj import ObjectSpec

INSTRUCTION = struct.Struct("<BBhi")
ATOMIC, LONG_LOAD = {0xC3, 0xDB}, 0x18
SIGN_EXTENDING = {0x81, 0x89, 0x91}


def instructions(code: bytes) -> list[tuple[int, int, int]]:
    """Opcode, registers and immediate of each, the second half of a 64-bit load left out."""
    found, at = [], 0
    while at < len(code):
        opcode, registers, _, immediate = INSTRUCTION.unpack_from(code, at)
        found.append((opcode, registers, immediate))
        at += 16 if opcode == LONG_LOAD else 8
    return found


@pytest.mark.parametrize("shell", sorted(path.name for path in OBJECTS.glob("*.bpf.o")))
def test_shells_need_no_newer_instructions(shell: str) -> None:
    """Of atomic operations addition alone, without the former value (Linux 5.12), and no loads that extend a sign (6.6)."""
    spec = ObjectSpec.from_file(OBJECTS / shell)
    for function in spec.functions.values():
        for opcode, _, immediate in instructions(function.code):
            assert opcode not in ATOMIC or immediate == 0, f"{function.name}: an atomic operation other than addition"
            assert opcode not in SIGN_EXTENDING, f"{function.name}: a load that extends the sign"
