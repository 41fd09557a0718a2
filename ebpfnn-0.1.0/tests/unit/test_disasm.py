"""Instructions in words, as kernel/bpf/disasm.c has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpfnn.obj.disasm import disassemble
from ebpfnn.obj.insn import Instruction

CASES = [
    (Instruction(0xB7, 1, imm=-5), "(b7) r1 = -5"),
    (Instruction(0xB4, 1, imm=5), "(b4) w1 = 5"),
    (Instruction(0x0F, 1, 2), "(0f) r1 += r2"),
    (Instruction(0x1C, 1, 2), "(1c) w1 -= w2"),
    (Instruction(0x3F, 1, 2), "(3f) r1 /= r2"),
    (Instruction(0x3F, 1, 2, 1), "(3f) r1 s/= r2"),
    (Instruction(0x97, 1, 0, 1, 7), "(97) r1 s%= 7"),
    (Instruction(0xC7, 1, imm=3), "(c7) r1 s>>= 3"),
    (Instruction(0x87, 1), "(87) r1 = -r1"),
    (Instruction(0x84, 1), "(84) w1 = -w1"),
    (Instruction(0xBF, 1, 2, 8), "(bf) r1 = (s8)r2"),
    (Instruction(0xBC, 1, 2, 16), "(bc) w1 = (s16)w2"),
    (Instruction(0xBF, 1, 2, 1, 1 << 16), "(bf) r1 = addr_space_cast(r2, 1, 0)"),
    (Instruction(0xDC, 3, imm=16), "(dc) r3 = be16 r3"),
    (Instruction(0xD4, 3, imm=32), "(d4) r3 = le32 r3"),
    (Instruction(0xD7, 3, imm=64), "(d7) r3 = bswap64 r3"),
    (Instruction(0x61, 1, 2, 8), "(61) r1 = *(u32 *)(r2 +8)"),
    (Instruction(0x79, 1, 10, -8), "(79) r1 = *(u64 *)(r10 -8)"),
    (Instruction(0x91, 1, 2, 0), "(91) r1 = *(s8 *)(r2 +0)"),
    (Instruction(0x6B, 1, 2, 4), "(6b) *(u16 *)(r1 +4) = r2"),
    (Instruction(0x72, 1, 0, 4, 9), "(72) *(u8 *)(r1 +4) = 9"),
    (Instruction(0x30, imm=14), "(30) r0 = *(u8 *)skb[14]"),
    (Instruction(0x48, 0, 6, imm=2), "(48) r0 = *(u16 *)skb[r6 + 2]"),
    (Instruction(0xDB, 1, 2, 0, 0x00), "(db) lock *(u64 *)(r1 +0) += r2"),
    (Instruction(0xC3, 1, 2, 8, 0x40), "(c3) lock *(u32 *)(r1 +8) |= r2"),
    (Instruction(0xDB, 1, 2, 0, 0x01), "(db) r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)"),
    (Instruction(0xC3, 1, 2, 0, 0x51), "(c3) r2 = atomic_fetch_and((u32 *)(r1 +0), r2)"),
    (Instruction(0xDB, 1, 2, 0, 0xE1), "(db) r2 = atomic64_xchg((u64 *)(r1 +0), r2)"),
    (Instruction(0xDB, 1, 2, 0, 0xF1), "(db) r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)"),
    (Instruction(0xDB, 1, 2, 0, 0x100), "(db) r1 = load_acquire((u64 *)(r2 +0))"),
    (Instruction(0xDB, 1, 2, 0, 0x110), "(db) store_release((u64 *)(r1 +0), r2)"),
    (Instruction(0x05, 0, 0, -3), "(05) goto pc-3"),
    (Instruction(0x06, imm=70000), "(06) gotol pc+70000"),
    (Instruction(0xE5, 0, 0, 4), "(e5) may_goto pc+4"),
    (Instruction(0x15, 1, 0, 2, -1), "(15) if r1 == 0xffffffff goto pc+2"),
    (Instruction(0x6E, 1, 2, 2), "(6e) if w1 s> w2 goto pc+2"),
    (Instruction(0x45, 1, 0, 2, 4), "(45) if r1 & 0x4 goto pc+2"),
    (Instruction(0x85, imm=14), "(85) call helper#14"),
    (Instruction(0x85, 0, 1, 0, 3), "(85) call pc+3"),
    (Instruction(0x85, 0, 2, 0, 900), "(85) call kernel-function"),
    (Instruction(0x95), "(95) exit"),
    (Instruction(0xE7), "(e7) BUG_e7"),
    (Instruction(0x01), "(01) BUG_01"),
]


@pytest.mark.parametrize(("instruction", "text"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_words(instruction: Instruction, text: str) -> None:
    assert list(disassemble(instruction.encode())) == [(0, text)]


@pytest.mark.parametrize(
    ("source", "text"),
    [(0, "(18) r1 = 0x500000004"), (1, "(18) r1 = map[fd:4]"), (2, "(18) r1 = map[fd:4]+5"), (4, "(18) r1 = func pc+4")],
)
def test_wide_immediates_take_two_places(source: int, text: str) -> None:
    code = Instruction(0x18, 1, source, imm=4).encode() + Instruction(0, imm=5).encode() + Instruction(0x95).encode()
    assert list(disassemble(code)) == [(0, text), (2, "(95) exit")]


@given(st.lists(st.binary(min_size=8, max_size=8), max_size=20))
def test_any_bytes_have_words(code: list[bytes]) -> None:
    indices = [index for index, _ in disassemble(b"".join(code))]
    assert indices == sorted(set(indices))
    assert len(indices) >= len(code) / 2
