"""Writes the sample of a row: counts for each value the bounds that are reached.

Hardly any of it branches: a branch on data is mispredicted, and the verifier walks both ways. Comparisons are subtractions of
signed numbers. So a result is seen in two parts: up to 2^63 - 1, where greater ones count as that, and from 2^63 on.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence

from ..network.inputformat import InputFormat
from ..obj.asm import R0, R1, R2, R3, R4, R5
from .cells import Cell
from .maps import BOUNDS
from .writer import MEMORY, Writer

_HALF, _WHOLE = 1 << 63, 1 << 64
_COMPARED = 4
"""So many bounds are compared one by one. Of more, half are left after each comparison."""
_LOW, _HIGH = "low", "high"


class SampleWriter:
    """Writes samples, and collects the ``table`` of bounds."""

    def __init__(self, write: Writer) -> None:
        self.write, self.table = write, bytearray()
        self._tables: dict[tuple[int, ...], int] = {}
        self._loaded: tuple[int, str] | None = None

    def emit(self, cells: Sequence[Cell], form: InputFormat | None) -> None:
        """No register of a call survives."""
        self.write.note("the sample")
        if form is not None and form.packed:
            self._emit_packed(cells, form)
            return
        for place, cell in enumerate(cells):
            self._emit_count(cell.result, cell.bounds)
            if cell.step > 1:
                self.write.alu(R2, "*=", cell.step)
            self.write.store("u8", MEMORY, self.write.memory.sample + place, R2)

    def _emit_packed(self, cells: Sequence[Cell], form: InputFormat) -> None:
        each = 8 // form.bits
        cells = [cells[number] for number in form.order] if form.order else cells
        for first in range(0, len(cells), each):
            self.write.mov(R5, 0)
            for place, cell in enumerate(cells[first : first + each]):
                self._emit_count(cell.result, cell.bounds)
                shift = form.bits * (each - 1 - place if form.bit_order == "big" else place)
                if shift:
                    self.write.alu(R2, "<<=", shift)
                self.write.alu(R5, "|=", R2)
            self.write.store("u8", MEMORY, self.write.memory.sample + first // each, R5)

    def _emit_count(self, result: int, bounds: Sequence[int]) -> None:
        """R2 = the number of ``bounds`` that a result reaches. Keeps R5."""
        always = bisect_right(bounds, 0)
        low = tuple(each for each in bounds[always:] if each < _HALF)
        high = tuple(each - _HALF for each in bounds if _HALF <= each < _WHOLE)
        if not low and not high:
            self.write.mov(R2, always)
            return
        if high:
            self._load(result, _HIGH)
            self._emit_part(high, 0)
            if not low:
                self._add(always)
                return
            self.write.mov(R0, R2)
        self._load(result, _LOW)
        self._emit_part(low, always)
        if high:
            self.write.alu(R2, "+=", R0)

    def _load(self, result: int, part: str) -> None:
        """R1 = one part of the result, unless it is there. Overwrites R3."""
        if self._loaded == (result, part):
            return
        write = self.write
        write.load(R1, "u64", MEMORY, write.memory.results + 8 * result)
        write.mov(R3, R1)
        write.alu(R3, "s>>=", 63)
        if part == _LOW:
            write.alu(R1, "|=", R3)
        write.alu(R1, "<<=", 1)
        write.alu(R1, ">>=", 1)
        if part == _HIGH:
            write.alu(R3, "^=", -1)
            write.alu(R1, "|=", R3)
        self._loaded = result, part

    def _emit_part(self, bounds: tuple[int, ...], always: int) -> None:
        """R2 = how many of ``bounds``, each below 2^63, are not above R1, plus ``always``."""
        if len(bounds) == 1 and not always:
            self.write.mov(R2, bounds[0] - 1)
            self.write.alu(R2, "-=", R1)
            self.write.alu(R2, ">>=", 63)
        elif len(bounds) <= _COMPARED:
            self._emit_comparisons(bounds, always)
        else:
            self._emit_search(bounds)
            self._add(always)

    def _emit_comparisons(self, bounds: tuple[int, ...], always: int) -> None:
        write = self.write
        write.mov(R2, len(bounds) + always)
        for each in bounds:
            write.mov(R3, R1)
            write.subtract(R3, each, R4)
            write.alu(R3, "s>>=", 63)
            write.alu(R2, "+=", R3)

    def _emit_search(self, bounds: tuple[int, ...]) -> None:
        """R2 points to the first of those that are left: after the first comparison one less than a power of two.

        (Shar; Knuth, The Art of Computer Programming, 6.2.1.) The mask is of a number that is shifted so that its sign is that
        bit. Were it shifted to 0 or -1, later verifiers would walk both (``maybe_fork_scalars``, Linux 6.18.y).
        """
        write, offset, half = self.write, self._place(bounds), 1 << len(bounds).bit_length() - 1
        write.map_value(R2, BOUNDS, offset)
        self._compare_in_table(half)
        write.alu(R3, ">>=", 63)
        write.alu(R3, "*=", 8 * (len(bounds) - half + 1))
        write.alu(R2, "+=", R3)
        while half > 1:
            half //= 2
            self._compare_in_table(half)
            write.alu(R3, ">>=", 63 - (8 * half).bit_length() + 1)
            write.alu(R3, "&=", 8 * half)
            write.alu(R2, "+=", R3)
        write.map_value(R3, BOUNDS, offset)
        write.alu(R2, "-=", R3)
        write.alu(R2, ">>=", 3)

    def _compare_in_table(self, number: int) -> None:
        """R3 is negative if R1 reaches the bound ``number``, counted from 1, from R2 on."""
        self.write.load(R3, "u64", R2, 8 * (number - 1))
        self.write.alu(R3, "-=", R1)

    def _place(self, bounds: tuple[int, ...]) -> int:
        """Where these bounds are in the table, each minus 1."""
        if bounds not in self._tables:
            self._tables[bounds] = len(self.table)
            self.table += struct.pack(f"<{len(bounds)}q", *(each - 1 for each in bounds))
        return self._tables[bounds]

    def _add(self, number: int) -> None:
        if number:
            self.write.alu(R2, "+=", number)
