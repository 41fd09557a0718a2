"""The emitter: every part of the compiler writes instructions, tables, memory and notes into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..abi import RESULT
from ..errors import ModelError
from ..obj import Function, MapSpec, MapType, ObjectSpec
from ..obj.asm import R0, R1, R2, R3, R4, R10, Register
from ..obj.spec import Relocation
from ..obj.uapi import MMAPABLE, RDONLY_PROG
from .features import KernelFeatures
from .frames import FrameAssembler
from .types import ITERATOR_DESTROY, ITERATOR_NEW, ITERATOR_NEXT

SAMPLE, OUTCOME = -8, -16
"""Stack slots, in bytes from r10, of the two arguments of ``ebpfnn_infer``; calls and tiles leave no register for them."""
FARTHEST = 1 << 15
"""The first offset that does not fit a load or a store."""
_LOOP = 181  # BPF_FUNC_loop
_WALKS, _TIGHT_WALKS = 4, 2
MOST_TABLES = 56
"""The limit of tables, of the 64 maps that a program may use (MAX_USED_MAPS); shells need some."""
_LINE = 64  # bytes of a line of the caches
STACK = 448
"""The frame of the shell and this one share 512 bytes; Linux 5.10 rounds each up."""


def walks(*, tight: bool) -> int:
    """How many iterations of a loop that it need not walk the verifier walks, until two have equal states.

    Tight code has no branch that only data decides, so two do.
    """
    return _TIGHT_WALKS if tight else _WALKS


@dataclass(frozen=True)
class Place:
    """The place of data at run time: ``offset`` bytes behind the address in the stack slot ``slot``."""

    slot: int
    offset: int = 0

    def at(self, offset: int) -> Place:
        return Place(self.slot, self.offset + offset)


class Emitter(FrameAssembler):
    """An assembler that also allocates workspace behind the result, and read-only tables."""

    def __init__(self, features: KernelFeatures, *, tight: bool = False) -> None:
        super().__init__(-OUTCOME)
        self.features, self._walks = features, walks(tight=tight)
        self.tables: dict[str, bytes] = {}
        self._workspace = self._region = 0
        self._iterates = False
        self._forks = self._walked_again = 0

    # Memory

    @property
    def walked(self) -> int:
        """The approximate number of instructions that the verifier walks in the code so far."""
        return self.written + self._walked_again

    @property
    def forks(self) -> int:
        """The approximate number of pending branches when the verifier first reaches the end of the code so far."""
        return self._forks

    def jump_if(self, left: Register, condition: str, right: Register | int, label: str, *, pending: bool = True) -> None:
        """With ``pending`` false, the branch is not counted in :attr:`forks`; see :meth:`put_off`."""
        self._forks += pending
        super().jump_if(left, condition, right, label)

    def put_off(self, branches: int) -> None:
        """Counts ``branches`` that are pending at once where some exclude each other."""
        self._forks += branches

    def region(self, size: int) -> Place:
        """Allocates ``size`` bytes of workspace, 8-aligned. They are not cleared: they hold what an earlier run left."""
        offset = RESULT.itemsize + self._region
        self._region += (size + 7) // 8 * 8
        self._workspace = max(self._workspace, self._region)
        return Place(OUTCOME, offset)

    @contextmanager
    def lent(self, size: int) -> Iterator[Place]:
        """A :meth:`region` whose bytes are free for others when the context ends; none that stays is allocated in it."""
        before = self._region
        yield self.region(size)
        self._region = before

    def next_stage(self) -> None:
        """What follows is the next network of a cascade, which uses the workspace from its start again."""
        self.stage, self.layer = self.stage + 1, -1
        self._region = 0

    def table(self, name: str, contents: NDArray[Any]) -> str:
        """Adds constants, in a separate map that is read-only once it is loaded."""
        if contents.nbytes > self.features.largest_table:
            fact = f"needs a table of {contents.nbytes} bytes; the kernel takes {self.features.largest_table}"
            raise ModelError(f"{fact}; use fewer inputs or outputs")
        unique = name if self.layer < 0 else f"layer{self.layer}_{name}"
        if self.stage:
            unique = f"next{self.stage}_{unique}"
        self.tables[unique] = np.ascontiguousarray(contents).tobytes() or bytes(8)
        return unique

    def pad(self, name: str, size: int) -> None:
        """Adds ``size`` zero bytes to the end of the table ``name``."""
        self.tables[name] += bytes(size)

    def point(self, dst: Register, place: Place) -> None:
        """``dst`` = the address of ``place``."""
        self.load(dst, "u64", R10, place.slot)
        if place.offset:
            self.alu(dst, "+=", place.offset)

    def load_far(self, dst: Register, size: str, base: Register, offset: int) -> None:
        """Like :meth:`load`, for an offset that may not fit an instruction; ``dst`` may be ``base``."""
        if offset >= FARTHEST:
            self.mov(dst, base)
            self.alu(dst, "+=", offset)
            base, offset = dst, 0
        self.load(dst, size, base, offset)

    def store_far(self, size: str, base: Register, offset: int, value: Register) -> None:
        """Like :meth:`store`, for an offset that may not fit an instruction."""
        beyond = offset if offset >= FARTHEST else 0
        if beyond:
            self.alu(base, "+=", beyond)
        self.store(size, base, offset - beyond, value)
        if beyond:
            self.alu(base, "-=", beyond)

    # Control

    def repeat(self, times: int, counter: int, scratch: Register, body: Callable[[], None]) -> None:
        """Runs ``body`` ``times`` times, counted on the stack. The verifier walks every iteration. Overwrites ``scratch``."""
        if times == 1:
            body()
            return
        before, forks = self.walked, self._forks
        again = self.fresh("again")
        self.store("u64", R10, counter, 0)
        self.label(again)
        body()
        self.load(scratch, "u64", R10, counter)
        self.alu(scratch, "+=", 1)
        self.store("u64", R10, counter, scratch)
        super().jump_if(scratch, "<", times, again)  # known at every turn
        self._walked_again += (times - 1) * (self.walked - before)
        self._forks += (times - 1) * (self._forks - forks)

    def turns(self, count: int, at_a_time: int, scratch: Register, body: Callable[[int], None]) -> None:
        """Calls ``body(at_a_time)`` as often as that fits ``count``, and ``body`` with the rest."""
        whole, rest = divmod(count, at_a_time)
        with self.scratch(8) as counter:
            if whole:
                self.repeat(whole, counter, scratch, lambda: body(at_a_time))
        if rest:
            body(rest)

    def iterate(self, times: int, index: int, body: Callable[[], None]) -> None:
        """Runs ``body`` ``times`` times with the iteration number in the stack slot ``index``; no register survives.

        The verifier does not walk every iteration: it looks for a state that covers all of them (Linux 6.4, open-coded
        iterators, commit 6018e1f407cc), or walks a callback once or a few times (Linux 5.17, bpf_loop, commit e6f2dd0f8067). An
        iteration costs some 7 ns.
        """
        before, forks = self.walked, self._forks
        if self.features.iterators:
            self._iterate_openly(times, index, body)
        else:
            self._call_back(times, index, body)
        self._walked_again += (self._walks - 1) * (self.walked - before)
        self._forks += (self._walks - 1) * (self._forks - forks)

    def _iterate_openly(self, times: int, index: int, body: Callable[[], None]) -> None:
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
            body()
            self.goto(again)
            self.label(done)
            self._call_iterator(ITERATOR_DESTROY, iterator)

    def _call_back(self, times: int, index: int, body: Callable[[], None]) -> None:
        with self.callback(times, index) as name:
            body()
        self.mov(R1, times)
        self.function_address(R2, name)
        self.mov(R3, R10)
        self.mov(R4, 0)
        self.call(_LOOP)

    def _call_iterator(self, function: str, iterator: int) -> None:
        self.mov(R1, R10)
        self.alu(R1, "+=", iterator)
        self.call_kernel(function)

    def forget(self, registers: tuple[Register, ...], slots: tuple[int, ...]) -> None:
        """Clears what a loop left behind, so that the verifier sees the same state on every exit.

        Within an iterator's loop it compares states exactly, also values that nothing reads any more (``states_equal`` with
        RANGE_WITHIN, Linux 6.8). Without this, it walks the code after each exit separately.
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
        functions = self.functions()
        tables, places = joined(self.tables, self.features.largest_table)
        functions = {name: _placed(function, places) for name, function in functions.items()}
        maps = {name: _table_map(name, contents) for name, contents in tables.items()}
        return ObjectSpec(name, "GPL", self.types.btf(), functions, maps=maps, kernel_symbols=symbols)


def joined(tables: dict[str, bytes], largest: int) -> tuple[dict[str, bytes], dict[str, tuple[str, int]]]:
    """Tables that are too many for a program, side by side in as few as possible; and where each of them is, if it moved."""
    if len(tables) <= MOST_TABLES:
        return tables, {}
    found: dict[str, bytearray] = {}
    places = {}
    name = ""
    for number, (each, contents) in enumerate(tables.items()):
        start = -(-len(found[name]) // _LINE) * _LINE if found else largest
        if start + len(contents) > largest:
            name, start = f"tables{number}", 0
            found[name] = bytearray()
        found[name] += bytes(start - len(found[name])) + contents
        places[each] = name, start
    return {each: bytes(contents) for each, contents in found.items()}, places


def _placed(function: Function, places: dict[str, tuple[str, int]]) -> Function:
    """The function with the tables of ``places``."""

    def moved(relocation: Relocation) -> Relocation:
        name, start = places.get(relocation.symbol, (relocation.symbol, 0))
        return replace(relocation, symbol=name, addend=relocation.addend + start)

    return replace(function, relocations=tuple(map(moved, function.relocations))) if places else function


def _table_map(name: str, contents: bytes) -> MapSpec:
    return MapSpec(name, MapType.ARRAY, 4, len(contents), 1, MMAPABLE | RDONLY_PROG, contents=contents, frozen=True)
