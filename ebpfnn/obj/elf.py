"""Reads the ELF part of a BPF object: sections, symbols and relocations, all checked against the size of the file.

An object may come from anywhere, so the section table is checked before a section is read (ELF gABI; RFC 9669; the relocation
types of Documentation/bpf/llvm_reloc.rst). Only the parts of ELF that BPF objects have are read here. pyelftools, which
:mod:`ebpfnn.kernel.link.symbols` uses to read programs and libraries, includes DWARF and takes longer to import.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ObjectError

MAX_FILE = 64 << 20
_MAX_NO_BITS = (1 << 32) - 1  # bytes of a data section: sizes of maps have 32 bits
_LONGEST_NAME = 1 << 12  # bytes; the kernel takes up to 511, C++ mangles longer ones
_HEADER_SIZE = 64
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_REL = struct.Struct("<QQ")
_SHN_LORESERVE = 0xFF00

# The section types of relocatable objects.
_SHT_NULL, _SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_NOTE, _SHT_NOBITS, _SHT_REL, _SHT_GROUP = 0, 1, 2, 3, 7, 8, 9, 17
_KNOWN_TYPES = frozenset(
    {_SHT_NULL, _SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_NOTE, _SHT_NOBITS, _SHT_REL, _SHT_GROUP}
    | set(range(0x6FFF4C00, 0x6FFF4D00))  # SHT_LLVM_*
)
_COMPRESSED = 1 << 11  # SHF_COMPRESSED

R_BPF_64_64 = 1
R_BPF_64_ABS64 = 2
R_BPF_64_32 = 10


class _Header(NamedTuple):
    """An entry of the section table, Elf64_Shdr."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int

    def bytes_of(self, data: bytes) -> bytes:
        """The bytes of the section in the file ``data``."""
        return b"" if self.type in (_SHT_NULL, _SHT_NOBITS) else data[self.offset : self.offset + self.size]


@dataclass(frozen=True)
class Section:
    """A section and its bytes; ``data`` is empty for one that takes no space in the file, whatever its ``size``."""

    index: int
    name: str
    size: int
    data: bytes
    executable: bool
    writable: bool
    no_bits: bool


class Symbol(NamedTuple):
    """A symbol; ``section`` is None if it is undefined, absolute or common.

    A ``hidden`` one (``__hidden``) is visible to the objects that it is linked with, but not to the loader.
    """

    name: str
    value: int
    size: int
    section: int | None
    kind: str
    is_global: bool
    is_undefined: bool
    is_weak: bool = False
    hidden: bool = False


class Reloc(NamedTuple):
    """A relocation of the bytes at ``offset`` of a section."""

    offset: int
    type: int
    symbol: Symbol


@dataclass(frozen=True)
class Elf:
    """An object; ``relocations`` maps a section's index to its relocations, in the order of offsets."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: dict[int, list[Reloc]]

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((section for section in self.sections if section.name == name), None)


def read_elf(data: bytes, name: str) -> Elf:
    """Reads a relocatable, little-endian, 64-bit BPF object; ``name`` is its name in errors.

    Raises :class:`ObjectError`.
    """
    headers, names = _headers(data, name)
    strings = _Strings(headers[names].bytes_of(data), "section", name)
    sections = tuple(_section(index, header, strings, data) for index, header in enumerate(headers))
    return _assemble(headers, sections, name)


def _headers(data: bytes, name: str) -> tuple[list[_Header], int]:
    """The section table, and the index of the section with the names. Raises for unsupported files and bad tables."""
    if data[:4] != b"\x7fELF":
        raise ObjectError(f"{name}: not an ELF file; give an object built by clang -target bpf")
    if len(data) < _HEADER_SIZE:
        raise ObjectError(f"{name}: cut short at {len(data)} bytes; rebuild the object")
    if data[4] != 2 or data[5] != 1:
        kind = "32-bit" if data[4] != 2 else "big-endian"
        raise ObjectError(f"{name}: a {kind} ELF file; build it with clang -target bpfel")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if machine != 247:
        raise ObjectError(f"{name}: an ELF file for machine {machine}, not BPF (247); build it with clang -target bpf")
    if kind != 1:
        raise ObjectError(f"{name}: not a relocatable object (ELF type {kind}); build it with clang -c")
    (offset,) = struct.unpack_from("<Q", data, 40)
    entry_size, count, names = struct.unpack_from("<HHH", data, 58)
    if entry_size != _SECTION.size or not count or offset + count * entry_size > len(data):
        raise ObjectError(f"{name}: its section table is outside the file; the object is cut short, rebuild it")
    headers = [_Header._make(_SECTION.unpack_from(data, offset + index * entry_size)) for index in range(count)]
    _check_sections(headers, len(data), name)
    if names >= count or headers[names].type != _SHT_STRTAB:
        raise ObjectError(f"{name}: the section names are not in section {names} of {count}; rebuild the object")
    return headers, names


def _check_sections(headers: list[_Header], file_size: int, name: str) -> None:
    """Checks the size of every section, and of all together, because they may overlap."""
    total = 0
    for index, (_, kind, flags, _, offset, size, link, info, *_) in enumerate(headers):
        if kind not in _KNOWN_TYPES or flags & _COMPRESSED:
            what = "compressed" if flags & _COMPRESSED else f"of type {kind:#x}"
            raise ObjectError(f"{name}: section {index} is {what}, which is not supported; build it with clang -c -target bpf")
        if kind != _SHT_NOBITS and offset + size > file_size:
            raise ObjectError(f"{name}: section {index} ends past the end of the file; it is cut short, rebuild it")
        if kind == _SHT_SYMTAB and (link >= len(headers) or headers[link].type != _SHT_STRTAB):
            raise ObjectError(f"{name}: the symbol table's strings are not in section {link}; rebuild the object")
        if kind == _SHT_REL and not 0 < info < len(headers):
            raise ObjectError(f"{name}: section {index} relocates section {info} of {len(headers)}; rebuild the object")
        if kind == _SHT_NOBITS and size > _MAX_NO_BITS:
            raise ObjectError(f"{name}: section {index} has {size} bytes; a map holds at most {_MAX_NO_BITS}")
        total += 0 if kind == _SHT_NOBITS else size
        if total > MAX_FILE:
            raise ObjectError(f"{name}: sections 0 to {index} claim {total} bytes; the limit is {MAX_FILE}")


class _Strings:
    """A string table. The size of each name is limited, and so is that of all together, because they may overlap."""

    def __init__(self, table: bytes, what: str, name: str) -> None:
        self._table, self._what, self._name = table, what, name
        self._known: dict[int, str] = {}
        self._left = MAX_FILE

    def at(self, offset: int) -> str:
        if offset not in self._known:
            end = self._table.find(b"\0", offset, offset + _LONGEST_NAME + 1)
            if end < 0:
                longer = len(self._table) - offset > _LONGEST_NAME
                fact = f"is longer than {_LONGEST_NAME} bytes" if longer else "is outside the string table"
                raise ObjectError(f"{self._name}: a {self._what}'s name {fact}; rebuild the object")
            self._left -= end - offset
            if self._left < 0:
                raise ObjectError(
                    f"{self._name}: its {self._what}s' names take over {MAX_FILE} bytes, which is the limit; shorten them"
                )
            self._known[offset] = self._table[offset:end].decode("utf-8", "replace")
        return self._known[offset]


def _assemble(headers: list[_Header], sections: tuple[Section, ...], name: str) -> Elf:
    tables = [index for index, header in enumerate(headers) if header.type == _SHT_SYMTAB]
    if len(tables) != 1:
        raise ObjectError(f"{name}: {len(tables)} symbol tables instead of one; rebuild the object without stripping it")
    table = sections[tables[0]]
    symbols = _symbols(table.data, sections[headers[table.index].link].data, sections, name)
    relocations: dict[int, list[Reloc]] = {}
    for section, header in zip(sections, headers, strict=True):
        # Those of .BTF, .BTF.ext and the debugging sections are already resolved in place (llvm_reloc.rst).
        if header.type == _SHT_REL and not section.name.startswith((".rel.BTF", ".rel.debug", ".rel.eh_frame")):
            patched = sections[header.info]
            relocations.setdefault(patched.index, []).extend(_relocations(section.data, symbols, patched, name))
    for found in relocations.values():
        found.sort(key=lambda reloc: reloc.offset)
    return Elf(sections, symbols, relocations)


def _section(index: int, header: _Header, names: _Strings, data: bytes) -> Section:
    flags, no_bits = header.flags, header.type == _SHT_NOBITS
    return Section(index, names.at(header.name), header.size, header.bytes_of(data), bool(flags & 4), bool(flags & 1), no_bits)


_KINDS = {0: "notype", 1: "object", 2: "function", 3: "section", 4: "file"}


def _symbols(table: bytes, strings: bytes, sections: tuple[Section, ...], name: str) -> tuple[Symbol, ...]:
    if len(table) % _SYMBOL.size:
        raise ObjectError(f"{name}: its symbol table is cut short; rebuild the object")
    names = _Strings(strings, "symbol", name)
    return tuple(_symbol(entry, names, sections, name) for entry in _SYMBOL.iter_unpack(table))


def _symbol(entry: tuple[Any, ...], names: _Strings, sections: tuple[Section, ...], name: str) -> Symbol:
    name_offset, info, visibility, index, value, size = entry
    section = index if 0 < index < _SHN_LORESERVE else None
    if section is not None and section >= len(sections):
        raise ObjectError(f"{name}: a symbol is in section {section} of {len(sections)}; rebuild the object")
    kind = _KINDS.get(info & 15, "other")
    text = names.at(name_offset)
    if kind == "section" and section is not None:
        text = sections[section].name
    return Symbol(text, value, size, section, kind, info >> 4 != 0, index == 0, info >> 4 == 2, visibility & 3 in (1, 2))


def _relocations(table: bytes, symbols: tuple[Symbol, ...], section: Section, name: str) -> list[Reloc]:
    if len(table) % _REL.size:
        raise ObjectError(f"{name}: the relocations of section '{section.name}' are cut short; rebuild the object")
    found = []
    for offset, info in _REL.iter_unpack(table):
        if info >> 32 >= len(symbols):
            raise ObjectError(
                f"{name}: section '{section.name}' refers to symbol {info >> 32} of {len(symbols)}; rebuild the object"
            )
        if offset >= section.size:
            raise ObjectError(f"{name}: a relocation of byte {offset} of section '{section.name}' is past its end; rebuild it")
        found.append(Reloc(offset, info & 0xFFFFFFFF, symbols[info >> 32]))
    return found
