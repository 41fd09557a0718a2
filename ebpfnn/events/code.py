"""The instructions that a reducer may write, and the registers that it may use."""

from __future__ import annotations

from ..obj.asm import R0, R1, R2, R3, R4, R5, R9, Assembler, Register

__all__ = ["FREE", "STATE", "VALUE", "ReducerCode", "Register"]

VALUE = R1
"""Has the value when :meth:`Reducer.emit_step` begins. It may be overwritten, as may all of :data:`FREE`."""
FREE = (R0, R2, R3, R4, R5)
"""What a reducer may overwrite beside :data:`VALUE`."""
STATE = R9
"""Points to the first word of the reducer's state, after ``offset`` bytes."""


class ReducerCode:
    """Where one reducer writes its instructions. All registers but :data:`VALUE` and :data:`FREE` belong to the observer.

    ``asm`` takes any instruction that needs no stack and calls nothing; labels come from :meth:`fresh`. ``locked`` says that
    the code runs in a spin lock's section, where nothing may be added atomically because nothing needs to be.
    """

    def __init__(
        self, asm: Assembler, offset: int, time: tuple[Register, int], results: tuple[Register, int], *, locked: bool
    ) -> None:
        self.asm, self.locked = asm, locked
        self._offset, self._time, self._results = offset, time, results

    def load(self, to: Register, word: int, base: Register = STATE) -> None:
        """``to`` = word number ``word`` of the state, or of where :meth:`point` made ``base`` point."""
        self.asm.load(to, "u64", base, self._offset + 8 * word)

    def store(self, word: int, value: Register | int, base: Register = STATE) -> None:
        """Word number ``word`` of the state = ``value``; ``base`` as in :meth:`load`."""
        self.asm.store("u64", base, self._offset + 8 * word, value)

    def point(self, to: Register, index: Register) -> None:
        """Makes ``to`` a base whose word 0 is word number ``index`` of the state. Overwrites ``index``.

        The verifier must see that ``index`` is small: shift it right, or compare it before.
        """
        self.asm.alu(index, "<<=", 3)
        self.asm.mov(to, STATE)
        self.asm.alu(to, "+=", index)

    def add(self, word: int, value: Register) -> None:
        """Word number ``word`` of the state += ``value``, atomically where several CPUs may do it at once. Overwrites R0."""
        offset = self._offset + 8 * word
        if not self.locked:
            self.asm.add_atomically("u64", STATE, offset, value)
            return
        self.asm.load(R0, "u64", STATE, offset)
        self.asm.alu(R0, "+=", value)
        self.asm.store("u64", STATE, offset, R0)

    def load_time(self, to: Register) -> None:
        """``to`` = the time of the event, in nanoseconds."""
        self.asm.load(to, "u64", *self._time)

    def put(self, result: int, value: Register | int) -> None:
        """Result number ``result`` = ``value``."""
        base, offset = self._results
        self.asm.store("u64", base, offset + 8 * result, value)

    def fresh(self, stem: str) -> str:
        """A label that does not exist yet."""
        return self.asm.fresh(stem)
