"""Finds the functions of an object's code and the maps of its map sections, by section and offset."""

from __future__ import annotations

from bisect import bisect_right

from ..errors import ObjectError
from . import insn
from .elf import Elf, Section, Symbol


class Places:
    """Names for addresses. A static function or map is referred to by the symbol of its section, with its offset as addend."""

    def __init__(self, elf: Elf, name: str) -> None:
        self._elf, self._name = elf, name
        self.functions = {s.index: self._function_symbols(s) for s in elf.sections if s.executable and s.size}
        self._maps = {
            (symbol.section, symbol.value): symbol.name
            for symbol in elf.symbols
            if symbol.kind == "object" and symbol.section is not None and is_map_section(elf.sections[symbol.section].name)
        }

    def name_of(self, symbol: Symbol, addend: int) -> str | None:
        """The function or map that ``symbol`` and ``addend`` refer to, None if it is neither."""
        if symbol.section is None:
            return None
        section = self._elf.sections[symbol.section]
        if section.executable:
            return self.function(symbol, addend)
        return self.map_at(section, symbol.value + addend) if is_map_section(section.name) else None

    def function(self, symbol: Symbol, addend: int) -> str:
        """The function that ``symbol`` names itself, or that begins ``addend`` bytes into the section it names."""
        if symbol.kind == "function" or symbol.section is None:
            return symbol.name
        return self.function_at(symbol.section, symbol.value + addend)

    def function_at(self, section: int, offset: int) -> str:
        symbols = self.functions.get(section, [])
        place = bisect_right(symbols, offset, key=lambda symbol: symbol.value) - 1
        if place < 0 or symbols[place].value != offset:
            raise ObjectError(f"{self._name}: a call to byte {offset} of section {section} is not in a function; rebuild it")
        return symbols[place].name

    def map_at(self, section: Section, offset: int) -> str:
        if (section.index, offset) not in self._maps:
            raise ObjectError(
                f"{self._name}: a reference to byte {offset} of {section.name} is not in a map; rebuild the object"
            )
        return self._maps[section.index, offset]

    def _function_symbols(self, section: Section) -> list[Symbol]:
        """The functions of a section; together they contain every instruction of it."""
        symbols = [s for s in self._elf.symbols if s.section == section.index and s.kind == "function"]
        symbols.sort(key=lambda symbol: symbol.value)
        starts = [symbol.value for symbol in symbols]
        if len(section.data) != section.size or section.size % insn.SIZE or any(start % insn.SIZE for start in starts):
            raise ObjectError(
                f"{self._name}: section '{section.name}' is not a whole number of instructions; rebuild the object"
            )
        if starts[:1] != [0] or len(set(starts)) != len(starts) or starts[-1] >= section.size:
            raise ObjectError(f"{self._name}: section '{section.name}' has instructions outside its functions; rebuild it")
        return symbols


def is_map_section(section: str) -> bool:
    """``.maps`` is described by BTF; ``maps`` is an array of ``struct bpf_map_def`` (before libbpf 1.0)."""
    return section in (".maps", "maps") or section.startswith("maps/")
