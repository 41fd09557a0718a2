"""What every part of the compiler writes into: instructions, their tables, their memory, and notes of what they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..abi import INFER, RESULT
from ..errors import ModelError
from ..obj import MapSpec, MapType, ObjectSpec
from ..obj.asm import R0, R1, R2, R3, R10, Assembler, Register
from ..obj.uapi import MMAPABLE, RDONLY_PROG
from .features import KernelFeatures
from .types import FUNCTION, ITERATOR_DESTROY, ITERATOR_NEW, ITERATOR_NEXT, TypeTable

SAMPLE, OUTCOME = -8, -16
"""Stack slots, in bytes from r10: the two arguments of ``ebpfnn_infer``, which calls and tiles leave no register for."""
FARTHEST = 1 << 15
"""The first offset that a load or a store cannot have."""
_WALKS_OF_AN_ITERATOR = 4  # until two turns look alike
STACK = 448
"""The shell's own frame and this one share 512 bytes; Linux 5.10 rounds each up."""


@dataclass(frozen=True)
class Note:
    """What the instructions from ``index`` on are for; ``layer`` is -1 for those of no layer."""

    index: int
    layer: int
    text: str


@dataclass(frozen=True)
class Place:
    """Where data lies at run time: ``offset`` bytes behind the address that the stack slot ``slot`` holds."""

    slot: int
    offset: int = 0

    def at(self, offset: int) -> Place:
        return Place(self.slot, self.offset + offset)


class Emitter(Assembler):
    """An assembler that also hands out stack slots, workspace behind the result, and read-only tables."""

    def __init__(self, features: KernelFeatures) -> None:
        super().__init__()
        self.features = features
        self.notes: list[Note] = []
        self.tables: dict[str, bytes] = {}
        self.layer = -1
        self.types = TypeTable()
        self._deepest = -OUTCOME
        self._stack = -OUTCOME
        self._workspace = 0
        self._iterates = False
        self._walked_again = 0

    def note(self, text: str) -> None:
        self.notes.append(Note(len(self), self.layer, text))

    # Memory

    @contextmanager
    def scratch(self, size: int) -> Iterator[int]:
        """``size`` bytes of stack, 8-aligned, for as long as the context lasts: their offset from r10."""
        before = self._stack
        self._stack = (before + size + 7) // 8 * 8
        self._deepest = max(self._deepest, self._stack)
        yield -self._stack
        self._stack = before

    @property
    def stack_used(self) -> int:
        """The most bytes of stack that were held at a time."""
        return self._deepest

    @property
    def walked(self) -> int:
        """About how many instructions the verifier walks of what was written so far."""
        return len(self) + self._walked_again

    def region(self, size: int) -> Place:
        """``size`` bytes of workspace, 8-aligned; what another run left in them is still there."""
        offset = RESULT.itemsize + self._workspace
        self._workspace += (size + 7) // 8 * 8
        return Place(OUTCOME, offset)

    def table(self, name: str, contents: NDArray[Any]) -> str:
        """Constants, in a map of their own that nobody can write to once it is loaded."""
        if contents.nbytes > self.features.largest_table:
            fact = f"needs a table of {contents.nbytes} bytes; the kernel takes {self.features.largest_table}"
            raise ModelError(f"{fact}; use fewer inputs or outputs")
        unique = name if self.layer < 0 else f"layer{self.layer}_{name}"
        self.tables[unique] = np.ascontiguousarray(contents).tobytes() or bytes(8)
        return unique

    def point(self, dst: Register, place: Place) -> None:
        """``dst`` = the address of ``place``."""
        self.load(dst, "u64", R10, place.slot)
        if place.offset:
            self.alu(dst, "+=", place.offset)

    def load_far(self, dst: Register, size: str, base: Register, offset: int) -> None:
        """As :meth:`load`, for an offset that may not fit an instruction; ``dst`` may be ``base``."""
        if offset >= FARTHEST:
            self.mov(dst, base)
            self.alu(dst, "+=", offset)
            base, offset = dst, 0
        self.load(dst, size, base, offset)

    # Control

    def repeat(self, times: int, counter: int, scratch: Register, body: Callable[[], None]) -> None:
        """Runs ``body`` ``times`` times, counted on the stack; the verifier walks every time. ``scratch`` is lost after it."""
        if times == 1:
            body()
            return
        before = self.walked
        again = self.fresh("again")
        self.store("u64", R10, counter, 0)
        self.label(again)
        body()
        self.load(scratch, "u64", R10, counter)
        self.alu(scratch, "+=", 1)
        self.store("u64", R10, counter, scratch)
        self.jump_if(scratch, "<", times, again)
        self._walked_again += (times - 1) * (self.walked - before)

    def turns(self, count: int, at_a_time: int, scratch: Register, body: Callable[[int], None]) -> None:
        """``body(at_a_time)`` as often as that goes into ``count``, and ``body`` of what is left over."""
        whole, rest = divmod(count, at_a_time)
        with self.scratch(8) as counter:
            if whole:
                self.repeat(whole, counter, scratch, lambda: body(at_a_time))
        if rest:
            body(rest)

    def iterate(self, times: int, index: int, body: Callable[[], None]) -> None:
        """Runs ``body`` ``times`` times with the number of the turn in the stack slot ``index``; no register survives.

        The verifier does not walk the turns: it looks for a state that stands for all of them (Linux 6.4, open-coded
        iterators, commit 6018e1f407cc). A turn costs some 7 ns.
        """
        self._iterates = True
        again, done = self.fresh("next"), self.fresh("end")
        with self.scratch(8) as iterator:
            for argument, value in ((R2, 0), (R3, times)):
                self.mov(argument, value)
            self._call_iterator(ITERATOR_NEW, iterator)
            self.label(again)
            self._call_iterator(ITERATOR_NEXT, iterator)
            self.jump_if(R0, "==", 0, done)
            self.load(R1, "u32", R0)
            # The verifier forgets that the number is below ``times``.
            self.jump_if(R1, ">", times - 1, done)
            self.store("u64", R10, index, R1)
            before = self.walked
            body()
            self.goto(again)
            self._walked_again += (_WALKS_OF_AN_ITERATOR - 1) * (self.walked - before)
            self.label(done)
            self._call_iterator(ITERATOR_DESTROY, iterator)

    def _call_iterator(self, function: str, iterator: int) -> None:
        self.mov(R1, R10)
        self.alu(R1, "+=", iterator)
        self.call_kernel(function)

    def forget(self, registers: tuple[Register, ...], slots: tuple[int, ...]) -> None:
        """Clears what a loop left behind, so that all the ways out of it look the same to the verifier.

        Within an iterator's loop it compares states as they are, also what nobody reads any more (``states_equal`` with
        RANGE_WITHIN, Linux 6.8): without this each way out is walked to the end.
        """
        for register in registers:
            self.mov(register, 0)
        for slot in slots:
            self.store("u64", R10, slot, 0)

    # The result

    @property
    def workspace(self) -> int:
        return self._workspace

    def spec(self, name: str) -> ObjectSpec:
        """The object that defines ``ebpfnn_infer``."""
        symbols = self.types.iterator() if self._iterates else {}
        lines = tuple(self.types.line(note.index, number, note.text) for number, note in enumerate(self._first_notes(), 1))
        function = self.function(INFER, FUNCTION, lines)
        maps = {name: _table_map(name, contents) for name, contents in self.tables.items()}
        return ObjectSpec(name, "GPL", self.types.btf(), {INFER: function}, maps=maps, kernel_symbols=symbols)

    def _first_notes(self) -> list[Note]:
        """One note an instruction, since the kernel wants line numbers to rise."""
        return list({note.index: note for note in self.notes}.values())


def _table_map(name: str, contents: bytes) -> MapSpec:
    return MapSpec(name, MapType.ARRAY, 4, len(contents), 1, MMAPABLE | RDONLY_PROG, contents=contents, frozen=True)
