"""Adds rows whose numbers are made of unpacked values on the way: each of eight bytes is a bit.

The numbers are never in memory. A branch that skips blank groups asks the values themselves, and so skips their comparison,
too. The comparison is that of :func:`ebpfnn.compiler.bits.emit_halved_gather`, with constants in the registers that sums leave
free.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..obj.asm import R6, R8, R9, Register
from .bits import halved_steps
from .branches import Run
from .groups import emit_bytes, pieces
from .table_rows import SUMS, RowAdder

MOST_WORDS = 4
"""With more words, a constant more is loaded for each group than storing its number would cost."""
_INPUTS, _NUMBER, _TERM = R6, R8, R9
_FREE = 6
"""The registers before this one may be sums."""

Members = tuple[tuple[int, ...], ...]
"""The values of each byte, the least significant bit first, rising."""


@dataclass
class PixelAdder(RowAdder):
    """As :class:`~ebpfnn.compiler.table_rows.RowAdder`; a number's byte b is made of the values ``members[b]``."""

    members: Members = ()
    _constants: dict[int, Register] = field(default_factory=dict)

    def add(self, runs: tuple[Run, ...]) -> None:
        steps = halved_steps(self._threshold)
        self._constants = {constant: SUMS[at] for (_, constant), at in zip(steps, range(self.words, _FREE), strict=False)}
        for constant, register in self._constants.items():
            self.emit.wide(register, constant)
        super().add(runs)

    @property
    def _threshold(self) -> int:
        if self.values.threshold is None:
            raise TypeError("values without a threshold are no bits")
        return self.values.threshold

    @property
    def _number_tells(self) -> bool:
        return False

    def _number(self, group: int) -> None:
        emit = self.emit
        emit_bytes(emit, list(self.members[self.tables.places[group, 0]]), _INPUTS, _NUMBER, _TERM)
        emit.alu(_NUMBER, ">>=", 1)
        for operator, constant in halved_steps(self._threshold):
            register = self._constants.get(constant, _TERM)
            if register == _TERM:
                emit.wide(_TERM, constant)
            emit.alu(_NUMBER, operator, register)
        emit.alu(_NUMBER, ">>=", 56)

    def _any(self, run: Run) -> None:
        places = self.tables.places[run.start : run.end, 0].tolist()
        for number, (first, _, name) in enumerate(_loads(self.members, places)):
            self.emit.load_far(_TERM if number else _NUMBER, name, _INPUTS, first)
            if number:
                self.emit.alu(_NUMBER, "|=", _TERM)


def _loads(members: Members, places: list[int]) -> list[tuple[int, int, str]]:
    """Those of all values of the bytes at ``places``."""
    return pieces(sorted(member for place in places for member in members[place]))


def asked_work(members: Members, places: list[int]) -> int:
    """Instructions for the branch over the bytes at ``places``."""
    return 2 * len(_loads(members, places))


def number_work(members: tuple[int, ...], words: int) -> int:
    """Instructions for a number in the code of a row of ``words`` words."""
    loads, constants = len(pieces(list(members))), 4 - min(4, _FREE - words)
    return 3 * loads - 2 + 6 + constants
