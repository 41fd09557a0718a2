"""Reads an ELF object that clang built into an object's :class:`~ebpfnn.obj.spec.Contents`."""

from __future__ import annotations

import errno
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import ObjectError
from . import insn
from .btf import Btf
from .btf.btf_ext import BtfExt, CoreInfo, FuncInfo, LineInfo, read_btf_ext
from .core.core_access import core_relocations
from .elf import MAX_FILE, R_BPF_64_32, R_BPF_64_64, Elf, Reloc, Section, Symbol, read_elf
from .externs import kconfig_map, read_externs
from .map_values import fill_values
from .maps import is_data, place_sections, read_maps, read_variables
from .places import Places
from .programs import mark_hidden_static, read_programs
from .spec import Contents, Function, Line, Relocation, RelocationKind, SymbolKind

_ARENA = ".addr_space.1"  # where clang puts what is of address_space(1)
_Entry = TypeVar("_Entry", Reloc, FuncInfo, LineInfo, CoreInfo)


def read_file(path: Path) -> Contents:
    """Reads the object at ``path``, named after the file. Raises :class:`ObjectError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as fault:
        full = fault.errno in (errno.EMFILE, errno.ENFILE)
        remedy = "raise ulimit -n, or close files" if full else "give an object built by clang -target bpf"
        raise ObjectError(f"{path}: {fault.strerror}; {remedy}") from fault
    if len(data) > MAX_FILE:
        raise ObjectError(f"{path}: larger than {MAX_FILE} bytes; no BPF object is")
    return read_object(data, path.name)


def read_object(data: bytes, name: str) -> Contents:
    """Reads an object from memory; ``name`` is its name in errors. Raises :class:`ObjectError`."""
    elf = read_elf(data, name)
    section = elf.section(".BTF")
    btf = Btf.from_bytes(section.data) if section else None
    variables = read_variables(elf, name)
    if btf:
        place_sections(btf, elf)
        mark_hidden_static(btf, elf)
    places = Places(elf, name)
    spec = Contents(name, _license(elf, name), btf, maps=read_maps(elf, btf, name), variables=variables)
    if btf:
        fill_values(spec.maps, elf, btf, places, name)
    spec.kernel_symbols = read_externs(elf, btf, name)
    configuration = kconfig_map(spec.kernel_symbols, btf)
    if configuration:
        spec.maps[configuration.name] = configuration
    spec.addresses = frozenset(elf.sections[index].name for index in elf.relocations if is_data(elf.sections[index].name))
    _Code(elf, btf, spec, places).read()
    spec.programs = read_programs(elf, places, spec)
    return spec


def _license(elf: Elf, name: str) -> str:
    section = elf.section("license")
    if section is None:
        return ""
    if b"\0" not in section.data:
        raise ObjectError(f'{name}: its license is not a terminated string; write char LICENSE[] SEC("license") = "GPL"')
    return section.data.split(b"\0")[0].decode("ascii", "replace")


@dataclass
class _Code:
    """Cuts the executable sections into functions at their symbols, and reads the relocations of each."""

    elf: Elf
    btf: Btf | None
    spec: Contents
    places: Places

    def read(self) -> None:
        section = self.elf.section(".BTF.ext")
        ext = read_btf_ext(section.data, self.btf, self.spec.name) if section and self.btf else BtfExt({}, {}, {})
        externs = set()
        for index, symbols in self.places.functions.items():
            section = self.elf.sections[index]
            bounds = [*(symbol.value for symbol in symbols[1:]), section.size]
            for symbol, end in zip(symbols, bounds, strict=True):
                function = self._function(section, symbol, end, ext)
                if function.name in self.spec.functions:
                    raise ObjectError(f"{self.spec.name}: function '{function.name}' is defined twice; rename one")
                self.spec.functions[function.name] = function
                externs |= {r.symbol for r in function.relocations if r.kind is RelocationKind.CALL}
        self.spec.externs = frozenset(externs - set(self.spec.functions))

    def _function(self, section: Section, symbol: Symbol, end: int, ext: BtfExt) -> Function:
        start = symbol.value
        code = section.data[start:end]
        relocs = _between(self.elf.relocations.get(section.index, []), start, end)
        types = _between(ext.functions.get(section.name, []), start, start + 1)
        lines = [
            Line((ln.offset - start) // insn.SIZE, ln.file, ln.text, ln.line_and_column >> 10, ln.line_and_column & 0x3FF)
            for ln in _between(ext.lines.get(section.name, []), start, end)
        ]
        local_calls = self._local_calls(section, start, end, {reloc.offset for reloc in relocs})
        return Function(
            symbol.name,
            code,
            tuple(self._relocation(code, start, reloc) for reloc in relocs) + local_calls,
            types[0].type_id if types else 0,
            tuple(lines),
            exported=symbol.is_global,
            core=core_relocations(_between(ext.core.get(section.name, []), start, end), start, self.btf, self.spec.name),
        )

    def _relocation(self, code: bytes, start: int, reloc: Reloc) -> Relocation:
        index, misaligned = divmod(reloc.offset - start, insn.SIZE)
        symbol = reloc.symbol
        found = insn.decode(code, index)
        if not misaligned and reloc.type == R_BPF_64_32 and found.opcode == insn.CALL:
            if symbol.is_undefined:
                kernels = symbol.name in self.spec.kernel_symbols
                return Relocation(index, RelocationKind.KFUNC if kernels else RelocationKind.CALL, symbol.name)
            return Relocation(index, RelocationKind.CALL, self.places.function(symbol, (found.imm + 1) * insn.SIZE))
        whole = (index + 2) * insn.SIZE <= len(code)
        if not misaligned and reloc.type == R_BPF_64_64 and found.opcode == insn.LD_IMM64 and whole:
            return self._address(index, symbol, found.imm)
        raise ObjectError(
            f"{self.spec.name}: relocation of type {reloc.type} against '{symbol.name}' at instruction {index} "
            f"(opcode {found.opcode:#x}) is unknown; build the object with clang -O2 -target bpf"
        )

    def _address(self, index: int, symbol: Symbol, addend: int) -> Relocation:
        """The meaning of a 64-bit address load depends on the section of the address."""
        if symbol.name in self.spec.kernel_symbols and symbol.is_undefined:
            extern = self.spec.kernel_symbols[symbol.name]
            if extern.kind is SymbolKind.KCONFIG:
                return Relocation(index, RelocationKind.DATA, extern.map, extern.offset + addend)
            return Relocation(index, RelocationKind.KSYM, symbol.name, addend)
        if symbol.section is not None:
            section = self.elf.sections[symbol.section]
            if section.name == _ARENA:
                fact = f"'{symbol.name}' is a global variable in an arena (__arena, section '{_ARENA}'), which is not supported"
                remedy = "allocate memory with bpf_arena_alloc_pages() at run time, or declare it without __arena"
                raise ObjectError(f"{self.spec.name}: {fact}; {remedy}")
            if is_data(section.name):
                return self._data(index, section, symbol.value + addend)
            found = self.places.name_of(symbol, addend)
            if found is not None:
                return Relocation(index, RelocationKind.FUNCTION if section.executable else RelocationKind.MAP, found)
        raise ObjectError(f"{self.spec.name}: '{symbol.name}' is neither defined in the object nor a function; define it")

    def _data(self, index: int, section: Section, offset: int) -> Relocation:
        if not 0 <= offset <= section.size:
            raise ObjectError(
                f"{self.spec.name}: a reference to byte {offset} of section '{section.name}', which has {section.size}; "
                "keep pointers inside what they point to"
            )
        return Relocation(index, RelocationKind.DATA, section.name, offset)

    def _local_calls(self, section: Section, start: int, end: int, relocated: set[int]) -> tuple[Relocation, ...]:
        """Calls inside a section that clang resolved itself: relative, and without a relocation."""
        found = []
        for offset in range(start, end, insn.SIZE):
            call = insn.decode(section.data, offset // insn.SIZE)
            if call.opcode == insn.CALL and call.src == insn.PSEUDO_CALL and offset not in relocated:
                target = offset + (call.imm + 1) * insn.SIZE
                index = (offset - start) // insn.SIZE
                found.append(Relocation(index, RelocationKind.CALL, self.places.function_at(section.index, target)))
        return tuple(found)


def _between(entries: list[_Entry], start: int, end: int) -> list[_Entry]:
    """Those of ``entries``, which are sorted by offset, that lie from ``start`` to before ``end``."""
    first, last = (bisect_left(entries, offset, key=lambda entry: entry.offset) for offset in (start, end))
    return entries[first:last]
