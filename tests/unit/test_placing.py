"""What is filled into instructions at the last moment: descriptors, type ids and addresses."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ebpfnn.errors import ObjectError
from ebpfnn.kernel import Map
from ebpfnn.kernel.load.kernel_symbols import Found, KernelSymbols
from ebpfnn.kernel.load.placing import place
from ebpfnn.obj import Image, Relocation, RelocationKind, insn
from ebpfnn.obj.core.core_patch import POISON

LOAD = insn.Instruction(insn.LD_IMM64, dst=1).encode() + bytes(insn.SIZE)
CALL = insn.Instruction(insn.CALL, src=1, imm=-1).encode()


@pytest.fixture
def held() -> Iterator[Map]:
    with Map(os.open("/dev/null", os.O_RDONLY), "counts", 2, 4, 4, 1) as found:
        yield found


def placed(code: bytes, kind: RelocationKind, addend: int = 0, symbols: KernelSymbols | None = None, **maps: Map) -> Image:
    image = Image(code, (Relocation(0, kind, "counts", addend),), (), (), ())
    return place(image, maps, symbols or KernelSymbols())


def symbol(found: Found, **modules: int) -> KernelSymbols:
    return KernelSymbols({"counts": found}, modules)


def test_a_map_and_a_place_in_one(held: Map) -> None:
    code = placed(LOAD, RelocationKind.MAP, counts=held).code
    assert insn.decode(code, 0) == (insn.LD_IMM64, 1, insn.PSEUDO_MAP_FD, 0, held.fileno())
    code = placed(LOAD, RelocationKind.DATA, 24, counts=held).code
    assert insn.decode(code, 0) == (insn.LD_IMM64, 1, insn.PSEUDO_MAP_VALUE, 0, held.fileno())
    assert insn.decode(code, 1).imm == 24


def test_a_map_that_was_not_created() -> None:
    with pytest.raises(ObjectError, match="map 'counts' is not created"):
        placed(LOAD, RelocationKind.MAP)


def test_a_call_of_the_kernel_and_of_a_module() -> None:
    code = placed(CALL, RelocationKind.KFUNC, symbols=symbol(Found(77))).code
    assert insn.decode(code, 0) == (insn.CALL, 0, insn.PSEUDO_KFUNC_CALL, 0, 77)
    symbols = symbol(Found(78, "second"), first=8, second=9)
    code = placed(CALL, RelocationKind.KFUNC, symbols=symbols).code
    assert insn.decode(code, 0) == (insn.CALL, 0, insn.PSEUDO_KFUNC_CALL, 2, 78)
    assert symbols.fd_array == (0, 8, 9)


def test_a_call_of_what_is_missing_is_poisoned() -> None:
    image = placed(CALL, RelocationKind.KFUNC, symbols=symbol(Found()))
    assert insn.decode(image.code, 0).imm == POISON
    assert [(each.index, "'counts' is not in this kernel" in each.reason) for each in image.unresolved] == [(0, True)]


@pytest.mark.parametrize(
    ("found", "addend", "source", "low", "high"),
    [
        (Found(77), 0, insn.PSEUDO_BTF_ID, 77, 0),
        (Found(78, "module"), 0, insn.PSEUDO_BTF_ID, 78, 9),
        (Found(address=0xFFFFFFFF81000010), 0, 0, -0x7EFFFFF0, -1),
        (Found(address=0xFFFFFFFF81000010), 8, 0, -0x7EFFFFE8, -1),
        (Found(), 8, 0, 0, 0),
    ],
)
def test_the_address_of_a_symbol(found: Found, addend: int, source: int, low: int, high: int) -> None:
    code = placed(LOAD, RelocationKind.KSYM, addend, symbol(found, module=9)).code
    assert insn.decode(code, 0) == (insn.LD_IMM64, 1, source, 0, low)
    assert insn.decode(code, 1).imm == high
