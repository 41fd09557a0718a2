"""From a clang-built ELF object to an :class:`ObjectSpec`."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import ObjectError
from . import insn
from .btf import Btf
from .btf_ext import BtfExt, FuncInfo, LineInfo, read_btf_ext
from .elf import MAX_FILE, R_BPF_64_32, R_BPF_64_64, Elf, Reloc, Section, Symbol, read_elf
from .maps import is_data, place_sections, read_maps, read_variables
from .sections import section_kind
from .spec import Function, Line, ObjectSpec, ProgramSpec, Relocation, RelocationKind

_Entry = TypeVar("_Entry", Reloc, FuncInfo, LineInfo)


def read_file(path: Path) -> ObjectSpec:
    """Reads the object at ``path``, named after the file. Raises :class:`ObjectError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as fault:
        raise ObjectError(f"{path}: {fault.strerror}; give an object built by clang -target bpf") from fault
    if len(data) > MAX_FILE:
        raise ObjectError(f"{path}: larger than {MAX_FILE} bytes; no BPF object is")
    return read_object(data, path.name)


def read_object(data: bytes, name: str) -> ObjectSpec:
    """Reads an object from memory; ``name`` is what errors call it. Raises :class:`ObjectError`."""
    elf = read_elf(data, name)
    section = elf.section(".BTF")
    btf = Btf.from_bytes(section.data) if section else None
    variables = read_variables(elf, name)
    if btf:
        place_sections(btf, elf)
    spec = ObjectSpec(name, _license(elf, name), btf, maps=read_maps(elf, btf, name), variables=variables)
    _Code(elf, btf, spec).read()
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
    """Cuts the executable sections into functions at their symbols, and finds what each refers to."""

    elf: Elf
    btf: Btf | None
    spec: ObjectSpec

    def read(self) -> None:
        section = self.elf.section(".BTF.ext")
        ext = read_btf_ext(section.data, self.btf, self.spec.name) if section and self.btf else BtfExt({}, {})
        self.starts = {s.index: self._function_symbols(s) for s in self.elf.sections if s.executable and s.size}
        self.maps_at = {
            (s.section, s.value): s.name for s in self.elf.symbols if s.name in self.spec.maps and s.kind == "object"
        }
        for index in self.elf.relocations:
            if not self.elf.sections[index].executable:
                where = f"{self.spec.name}: section '{self.elf.sections[index].name}'"
                raise ObjectError(f"{where} holds addresses, which are known in code alone; fill them in at run time")
        externs = set()
        for index, symbols in self.starts.items():
            section = self.elf.sections[index]
            bounds = [*(symbol.value for symbol in symbols[1:]), section.size]
            for symbol, end in zip(symbols, bounds, strict=True):
                function = self._function(section, symbol, end, ext)
                self._define(section, symbol, function)
                externs |= {r.symbol for r in function.relocations if r.kind is RelocationKind.CALL}
        self.spec.externs = frozenset(externs - set(self.spec.functions))

    def _define(self, section: Section, symbol: Symbol, function: Function) -> None:
        if function.name in self.spec.functions:
            raise ObjectError(f"{self.spec.name}: function '{function.name}' is defined twice; rename one")
        self.spec.functions[function.name] = function
        kind = section_kind(section.name)
        if kind and symbol.is_global:
            program = ProgramSpec(function.name, section.name, kind.type, kind.expected_attach_type, kind.flags)
            self.spec.programs[function.name] = program

    def _function_symbols(self, section: Section) -> list[Symbol]:
        """The functions of a section, which between them hold every instruction of it."""
        symbols = [s for s in self.elf.symbols if s.section == section.index and s.kind == "function"]
        symbols.sort(key=lambda symbol: symbol.value)
        starts = [symbol.value for symbol in symbols]
        if len(section.data) != section.size or section.size % insn.SIZE or any(start % insn.SIZE for start in starts):
            raise ObjectError(f"{self.spec.name}: section '{section.name}' is not whole instructions; rebuild the object")
        if starts[:1] != [0] or len(set(starts)) != len(starts) or starts[-1] >= section.size:
            raise ObjectError(f"{self.spec.name}: section '{section.name}' is not cut into functions by symbols; rebuild it")
        return symbols

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
        )

    def _relocation(self, code: bytes, start: int, reloc: Reloc) -> Relocation:
        index, misaligned = divmod(reloc.offset - start, insn.SIZE)
        symbol = reloc.symbol
        found = insn.decode(code, index)
        if not misaligned and reloc.type == R_BPF_64_32 and found.opcode == insn.CALL:
            if symbol.is_undefined:
                return Relocation(index, RelocationKind.CALL, symbol.name)
            return Relocation(index, RelocationKind.CALL, self._function_at(symbol, (found.imm + 1) * insn.SIZE))
        whole = (index + 2) * insn.SIZE <= len(code)
        if not misaligned and reloc.type == R_BPF_64_64 and found.opcode == insn.LD_IMM64 and whole:
            return self._address(index, symbol, found.imm)
        raise ObjectError(
            f"{self.spec.name}: relocation of type {reloc.type} against '{symbol.name}' at instruction {index} "
            f"(opcode {found.opcode:#x}) is not known; build the object with clang -O2 -target bpf"
        )

    def _address(self, index: int, symbol: Symbol, addend: int) -> Relocation:
        """What a 64-bit load of an address means depends on the section that the address lies in."""
        if symbol.section is not None:
            section = self.elf.sections[symbol.section]
            if section.name == ".maps":
                return Relocation(index, RelocationKind.MAP, self._map_at(section.index, symbol.value + addend))
            if is_data(section.name):
                return self._data(index, section, symbol.value + addend)
            if section.executable:
                return Relocation(index, RelocationKind.FUNCTION, self._function_at(symbol, addend))
        raise ObjectError(f"{self.spec.name}: '{symbol.name}' is not defined in the object, nor is it a function; define it")

    def _map_at(self, section: int, offset: int) -> str:
        """A static map is referred to by its section's symbol with its place as addend, so maps are known by their place."""
        if (section, offset) not in self.maps_at:
            raise ObjectError(f"{self.spec.name}: a reference to byte {offset} of .maps meets no map; rebuild the object")
        return self.maps_at[section, offset]

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
                found.append(Relocation(index, RelocationKind.CALL, self._name_at(section.index, target)))
        return tuple(found)

    def _function_at(self, symbol: Symbol, addend: int) -> str:
        """A function is named by its own symbol, or by its section's with the place in it as addend."""
        if symbol.kind == "function" or symbol.section is None:
            return symbol.name
        return self._name_at(symbol.section, symbol.value + addend)

    def _name_at(self, section: int, offset: int) -> str:
        symbols = self.starts.get(section, [])
        place = bisect_right(symbols, offset, key=lambda symbol: symbol.value) - 1
        if place < 0 or symbols[place].value != offset:
            raise ObjectError(f"{self.spec.name}: a call to byte {offset} of section {section} meets no function; rebuild it")
        return symbols[place].name


def _between(entries: list[_Entry], start: int, end: int) -> list[_Entry]:
    """Those of ``entries``, which are sorted by offset, that lie from ``start`` to before ``end``."""
    first, last = (bisect_left(entries, offset, key=lambda entry: entry.offset) for offset in (start, end))
    return entries[first:last]
