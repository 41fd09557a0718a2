"""Writes several functions at a time, with a stack for each: the network's own, and the callbacks of its loops.

A callback is the same code as it would be inline: it finds the values that its caller keeps on the stack at the same offsets
from r10. To make this work, its first instructions copy the slots that it reads from the frame of its caller into its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ..abi import INFER
from ..errors import ModelError
from ..obj import Function, Line
from ..obj.asm import R0, R1, R2, R10, Assembler, Register
from ..obj.spec import Relocation
from .types import FUNCTION, TypeTable

FARTHEST_JUMP = 32_000
"""Instructions; a jump's offset has 16 bits and a sign."""
_SLOT, _ROUNDED = 8, 32
_INLINED = 24  # bytes that Linux 5.19 and later use in the frame of a function that calls bpf_loop (inline_bpf_loop)


class TooFar(ModelError):
    """A jump cannot go over so much code; what writes less out may do."""


@dataclass(frozen=True)
class Note:
    """Explains the instructions of ``function`` from ``index`` on; ``layer`` is -1 for those that belong to no layer.

    ``stage`` is the number of its network in a cascade, from 0 on.
    """

    index: int
    layer: int
    text: str
    function: str = INFER
    stage: int = 0


def rounded(size: int) -> int:
    """Bytes of stack that the kernel counts for a function of ``size``."""
    return -(-size // _ROUNDED) * _ROUNDED


def frame_bytes(deepest: int, below: int) -> int:
    """Bytes of stack that a function takes, including the functions that it calls, which take ``below``."""
    return rounded(deepest + _INLINED) + below if below else deepest


@dataclass
class _Frame:
    """A function that is being written. The first ``inherited`` bytes of its stack have the layout of its caller's.

    ``wanted`` are the slots among them that it reads. ``below`` is the stack of the functions that it calls, in bytes.
    """

    name: str
    inherited: int
    deepest: int
    below: int = 0
    wanted: set[int] = field(default_factory=set)
    stored: set[int] = field(default_factory=set)

    @property
    def bytes(self) -> int:
        return frame_bytes(self.deepest, self.below)


@dataclass
class _Code:
    """What an :class:`Assembler` holds for one function."""

    code: list[bytes] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    jumps: list[tuple[int, str]] = field(default_factory=list)
    relocations: list[Relocation] = field(default_factory=list)


class FrameAssembler(Assembler):
    """An assembler of the network's function and of its callbacks, which allocates the stack of each."""

    def __init__(self, taken: int) -> None:
        """``taken`` bytes of the stack are in use from the start."""
        super().__init__()
        self.types = TypeTable()
        self.notes: list[Note] = []
        self.layer, self.stage = -1, 0
        self._frame = _Frame(INFER, 0, taken)
        self._stack = taken
        self._callbacks: list[Function] = []
        self._elsewhere = self._farthest = 0

    @property
    def written(self) -> int:
        """Instructions of all functions."""
        return len(self) + self._elsewhere

    @property
    def stack_used(self) -> int:
        """The maximum of allocated stack bytes, including callbacks."""
        return self._frame.bytes

    @property
    def farthest_jump(self) -> int:
        """The number of instructions that the longest jump so far skips."""
        mine = [abs(self._labels[label] - at) for at, label in self._jumps if label in self._labels]
        return max([*mine, self._farthest])

    def check_jumps(self) -> None:
        """Raises :class:`TooFar` where one so far is longer than a jump can be."""
        if self.farthest_jump > FARTHEST_JUMP:
            fact = f"needs a jump over {self.farthest_jump} instructions; at most {FARTHEST_JUMP} go"
            raise TooFar(f"{fact}; use fewer inputs and outputs, or smaller weights")

    def note(self, text: str) -> None:
        self.notes.append(Note(len(self), self.layer, text, self._frame.name, self.stage))

    @contextmanager
    def scratch(self, size: int) -> Iterator[int]:
        """Allocates ``size`` bytes of stack, 8-aligned, until the context ends; gives their offset from r10."""
        before = self._stack
        self._stack = (before + size + 7) // 8 * 8
        self._frame.deepest = max(self._frame.deepest, self._stack)
        yield -self._stack
        self._stack = before

    def load(self, dst: Register, size: str, base: Register, offset: int = 0) -> None:
        if base is R10:
            self._want(offset // _SLOT * _SLOT)
        super().load(dst, size, base, offset)

    def store(self, size: str, base: Register, offset: int, value: Register | int) -> None:
        if base is R10:
            self._frame.stored.add(offset // _SLOT * _SLOT)
        super().store(size, base, offset, value)

    @contextmanager
    def callback(self, times: int, index: int) -> Iterator[str]:
        """The code written in the context becomes a function with this name, which ``bpf_loop`` calls ``times`` times.

        It has the iteration number in the stack slot ``index``, and gets a pointer to its caller's frame.
        """
        caller, above, notes = self._frame, self._swap(_Code()), self.notes
        name = f"{INFER}_turn{self.types.callbacks}"
        type_id = self.types.callback(name)
        self._frame, self.notes = _Frame(name, self._stack, self._stack, stored={index}), []
        self._elsewhere += len(above.code)
        past = self.fresh("past")
        yield name
        self.mov(R0, 0)
        self.label(past)
        self.exit()
        self._prepend_prologue(times, index, past)
        self.check_jumps()
        frame, inside, self._farthest = self._frame, self.notes, self.farthest_jump
        self._callbacks.append(self.function(name, type_id, self._lines(name), exported=False))
        self._elsewhere += len(self) - len(above.code)
        self._swap(above)
        self._frame, self.notes = caller, [*notes, *inside]
        caller.below = max(caller.below, rounded(frame.bytes))
        for slot in frame.wanted:
            self._want(slot)

    def functions(self) -> dict[str, Function]:
        """All functions that were written, by name; the network's own first."""
        found = (self.function(INFER, FUNCTION, self._lines(INFER)), *self._callbacks)
        return {function.name: function for function in found}

    def _want(self, slot: int) -> None:
        if -slot <= self._frame.inherited and slot not in self._frame.stored:
            self._frame.wanted.add(slot)

    def _prepend_prologue(self, times: int, index: int, past: str) -> None:
        """An iteration past the last one ends the loop: the verifier knows no bound of the number."""
        body, notes = self._swap(_Code()), self.notes
        self.notes = []
        self.note("a turn of a loop, with what its caller keeps on the stack")
        self.mov(R0, 1)
        self.jump_if(R1, ">", times - 1, past)
        super().store("u64", R10, index, R1)
        for slot in sorted(self._frame.wanted):
            super().load(R0, "u64", R2, slot)
            super().store("u64", R10, slot, R0)
        size = len(self)
        mine = self._frame.name
        self.notes += [replace(note, index=note.index + size) if note.function == mine else note for note in notes]
        self._code += body.code
        self._labels |= {label: at + size for label, at in body.labels.items()}
        self._jumps += [(at + size, label) for at, label in body.jumps]
        self._relocations += [replace(each, index=each.index + size) for each in body.relocations]

    def _swap(self, new: _Code) -> _Code:
        old = _Code(self._code, self._labels, self._jumps, self._relocations)
        self._code, self._labels, self._jumps, self._relocations = new.code, new.labels, new.jumps, new.relocations
        return old

    def _lines(self, function: str) -> tuple[Line, ...]:
        """One note per instruction, because the kernel requires rising line numbers."""
        first = {note.index: note for note in self.notes if note.function == function}.values()
        return tuple(self.types.line(note.index, number, note.text) for number, note in enumerate(first, 1))
