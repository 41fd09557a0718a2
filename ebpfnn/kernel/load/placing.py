"""Writes the values that only the running kernel knows into a program's instructions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...errors import ObjectError
from ...obj import Image, Relocation, RelocationKind, insn
from ...obj.core.core_patch import poison
from ...obj.core.core_relocation import Unresolved
from ..map import Map
from .kernel_symbols import KernelSymbols

_WORD = 0xFFFFFFFF


def place(image: Image, maps: Mapping[str, Map], symbols: KernelSymbols, name: str = "") -> Image:
    """``image`` with the descriptors of maps and the ids of kernel symbols in place; the kernel makes addresses of them.

    ``name`` is the object's, for the error. Raises :class:`ObjectError` for a map that was not created.
    """
    code = bytearray(image.code)
    missing = []
    for relocation in image.pending:
        if relocation.kind is RelocationKind.KFUNC:
            if symbols.found[relocation.symbol].missing:
                poison(code, relocation.index)
                missing.append(Unresolved(relocation.index, _absence(relocation.symbol)))
            else:
                _place_call(code, relocation, symbols)
        elif relocation.kind is RelocationKind.KSYM:
            _place_symbol(code, relocation, symbols)
        else:
            _place_map(code, relocation, maps, f"{name}: " if name else "")
    return replace(image, code=bytes(code), pending=(), unresolved=(*image.unresolved, *missing))


def _absence(name: str) -> str:
    return f"kernel function '{name}' is not in this kernel; call it only if bpf_ksym_exists({name}) is true"


def _place_map(code: bytearray, relocation: Relocation, maps: Mapping[str, Map], where: str) -> None:
    if relocation.symbol not in maps:
        fact = "is not created, since its section begins with '?' or autocreate is off, but a program uses it"
        remedy = "create it (autocreate), or do not load the program (autoload)"
        raise ObjectError(f"{where}map '{relocation.symbol}' {fact}; {remedy}")
    index, fd = relocation.index, maps[relocation.symbol].fileno()
    address = insn.decode(code, index)
    if relocation.kind is RelocationKind.MAP:
        insn.patch(code, index, address._replace(src=insn.PSEUDO_MAP_FD, imm=fd))
    else:
        insn.patch(code, index, address._replace(src=insn.PSEUDO_MAP_VALUE, imm=fd))
        insn.patch(code, index + 1, insn.Instruction(0, imm=relocation.addend))


def _place_call(code: bytearray, relocation: Relocation, symbols: KernelSymbols) -> None:
    found = symbols.found[relocation.symbol]
    call = insn.decode(code, relocation.index)
    index = symbols.index_of(found.module)
    insn.patch(code, relocation.index, call._replace(src=insn.PSEUDO_KFUNC_CALL, offset=index, imm=found.type_id))


def _place_symbol(code: bytearray, relocation: Relocation, symbols: KernelSymbols) -> None:
    found = symbols.found[relocation.symbol]
    load = insn.decode(code, relocation.index)
    if found.type_id:
        low, high, source = found.type_id, symbols.modules.get(found.module, 0), insn.PSEUDO_BTF_ID
    else:
        address = found.address + relocation.addend if found.address else 0
        low, high, source = address & _WORD, address >> 32 & _WORD, 0
    insn.patch(code, relocation.index, load._replace(src=source, imm=insn.signed(low)))
    insn.patch(code, relocation.index + 1, insn.Instruction(0, imm=insn.signed(high)))
