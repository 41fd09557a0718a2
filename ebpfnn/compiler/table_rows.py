"""Adds the rows of a layer of tables: for each group a number, and the words of its row to those in registers.

The table stores the rows of one number side by side for all groups (:mod:`ebpfnn.compiler.rows` says why), tile by tile. The
address of row 0 stays in a register, and that of the inputs too, if a row has no more than six words.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, Register
from .branches import Run
from .emitter import FARTHEST, Emitter
from .groups import LOADS, pieces
from .partial import BYTE
from .tables import RowTables
from .tile import Part
from .values import Values

MOST_WORDS = 8
SUMS = (R0, R1, R2, R3, R4, R5, R6, R7)
ROOMY_WORDS = 6
_INPUTS, _TABLE, _NUMBER, _TERM = R6, R7, R8, R9


@dataclass
class RowAdder:
    """Adds ``words`` words of rows from ``part``, the tile's table, whose groups are ``apart`` words apart."""

    emit: Emitter
    tables: RowTables
    values: Values
    part: Part
    apart: int
    words: int
    _pointed: int = 0

    @property
    def _roomy(self) -> bool:
        return self.words <= ROOMY_WORDS

    @property
    def _number_tells(self) -> bool:
        """Whether a number is made so cheaply that the branch of a single group asks the number itself."""
        return True

    def add(self, runs: tuple[Run, ...]) -> None:
        """Adds the rows of all groups to :data:`SUMS`. Overwrites all registers behind them."""
        if self._roomy:
            self.emit.load(_INPUTS, "u64", R10, self.values.place.slot)
            self.part.point(self.emit, _TABLE)
        for run in runs:
            for start in range(run.start, run.end) if not run.asks else (run.start,):
                self._run(Run(start, run.end, asks=True) if run.asks else Run(start, start + 1))

    def _run(self, run: Run) -> None:
        emit = self.emit
        self._reach(run)
        blank = emit.fresh("blank")
        alone = run.size == 1 and self._number_tells
        if run.asks and not alone:
            self._any(run)
            emit.jump_if(_NUMBER, "==", 0, blank)
        for group in range(run.start, run.end):
            self._number(group)
            if run.asks and alone:
                emit.jump_if(_NUMBER, "==", 0, blank)
            self._add(group)
        if run.asks:
            emit.label(blank)

    def _reach(self, run: Run) -> None:
        """Moves the address of the table on if an offset would not fit; outside of branches."""
        size = 8 * self.apart
        if self._roomy and run.end * size - self._pointed > FARTHEST:
            self.emit.alu(_TABLE, "+=", run.start * size - self._pointed)
            self._pointed = run.start * size

    def _number(self, group: int) -> None:
        """The number of the row of ``group``."""
        emit, tables = self.emit, self.tables
        members = [(place, at) for place, at in enumerate(tables.places[group].tolist()) if at >= 0]
        last = tables.places.shape[1] - 1
        below = 0
        for number, (place, at) in enumerate(members):
            into = _TERM if number else _NUMBER
            self._level(into, at)
            if number:
                emit.alu(_NUMBER, "<<=", tables.bits * (place - below))
                emit.alu(_NUMBER, "|=", _TERM)
            below = place
        if below < last:
            emit.alu(_NUMBER, "<<=", tables.bits * (last - below))
        if len(members) > 1 or (tables.low == 0 and tables.bits < BYTE):
            emit.alu(_NUMBER, "&=", tables.numbers - 1)

    def _level(self, into: Register, at: int) -> None:
        """The value ``at`` bytes behind the first, above the lowest."""
        self._load(into, "u8", at)
        if self.tables.low:
            self.emit.alu(into, "-=", self.tables.low)
            self.emit.alu(into, "&=", (1 << self.tables.bits) - 1)

    def _load(self, into: Register, size: str, at: int) -> None:
        base = _INPUTS if self._roomy else into
        if not self._roomy:
            self.emit.load(into, "u64", R10, self.values.place.slot)
        self.emit.load_far(into, size, base, self.values.place.offset + at)

    def _any(self, run: Run) -> None:
        """Not 0 if any number of the run is not: all bytes that they are made of, less their lowest value, joined by OR."""
        emit, blank = self.emit, self.tables.low & 0xFF
        places = sorted(at for at in self.tables.places[run.start : run.end].reshape(-1).tolist() if at >= 0)
        for number, (at, _, size) in enumerate(pieces(places, LOADS[2:] if blank else LOADS)):
            into = _TERM if number else _NUMBER
            self._load(into, size, at)
            if blank:
                emit.alu(into, "^=", blank if size == "u8" else blank * 0x101)
            if number:
                emit.alu(_NUMBER, "|=", _TERM)

    def _add(self, group: int) -> None:
        """Adds the row whose number is in a register."""
        emit, offset = self.emit, 8 * self.apart * group
        emit.alu(_NUMBER, "*=", 8 * self.apart * self.tables.groups)
        if self._roomy:
            emit.alu(_NUMBER, "+=", _TABLE)
            offset -= self._pointed
        else:
            self.part.point(emit, _TERM, offset)
            emit.alu(_NUMBER, "+=", _TERM)
            offset = 0
        for word in range(self.words):
            emit.load(_TERM, "u64", _NUMBER, offset + 8 * word)
            emit.alu(SUMS[word], "+=", _TERM)
