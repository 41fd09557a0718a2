"""The leaves of a forest as rows of words, and the sums of these rows.

A word has two scores of 32 bits. What each leaf adds is counted from the least that a leaf of its tree adds, so no lane of a
row is below 0; and the sums begin at 2^31 more than the lowest score that trees can reach. No partial sum leaves its lane then,
since no score of a forest leaves int32. Flipping the upper bit of each lane gives the scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiler.emitter import Emitter, Place
from ..compiler.scores import SCORES, emit_label
from ..obj.asm import R0, R1, R8, Register
from .forest import Forest, Tree

RESULT = R8
"""The address of the result and of the workspace behind it, in all code of trees."""
_SUM, _FLIP = R0, R1
_SIGNS = 0x80000000_80000000
_WORD = 8


def row_words(forest: Forest) -> int:
    """The words of a row."""
    return (len(forest.labels) + 1) // 2


def rows(tree: Tree) -> NDArray[np.uint64]:
    """What each leaf of ``tree`` adds, uint64 [leaves, words]."""
    wide = tree.leaves.astype(np.int64)
    return _packed(wide - wide.min(axis=0))


def seeds(forest: Forest) -> NDArray[np.uint64]:
    """Where the sums begin, uint64 [words]."""
    least = np.array(forest.base, np.int64) + (1 << 31)
    for tree in forest.trees:
        least += tree.leaves.astype(np.int64).min(axis=0)
    words: NDArray[np.uint64] = _packed(least[np.newaxis])[0]
    return words


def _packed(lanes: NDArray[np.int64]) -> NDArray[np.uint64]:
    even = np.zeros((len(lanes), (lanes.shape[1] + 1) // 2 * 2), np.uint64)
    even[:, : lanes.shape[1]] = lanes
    words: NDArray[np.uint64] = even[:, ::2] | even[:, 1::2] << np.uint64(32)
    return words


class Sums:
    """The sums of a forest in the workspace, a word each."""

    def __init__(self, emit: Emitter, forest: Forest) -> None:
        self._emit, self._forest, self.words = emit, forest, row_words(forest)
        self._place: Place = emit.region(_WORD * self.words)

    def begin(self) -> None:
        """Overwrites r0."""
        self._emit.note("the sums begin: base, and of each tree the lowest leaf")
        for word, seed in enumerate(seeds(self._forest).tolist()):
            self._emit.wide(_SUM, seed)
            self._emit.store("u64", RESULT, self._place.offset + _WORD * word, _SUM)

    def scale(self, number: Register, scale: int = 1) -> None:
        """``number``, of a row times ``scale``, becomes bytes from the first row."""
        size = _WORD * self.words
        if size % scale or size // scale & (size // scale - 1):
            self._emit.alu(number, "*=", size)
            self._emit.alu(number, ">>=", scale.bit_length() - 1)
        elif size > scale:
            self._emit.alu(number, "<<=", (size // scale).bit_length() - 1)

    def add(self, pointers: dict[Register, int], word: Register, sum_: Register) -> None:
        """Adds the rows at ``pointers``, each with an offset. Overwrites ``word`` and ``sum_``."""
        emit = self._emit
        for number in range(self.words):
            emit.load(sum_, "u64", RESULT, self._place.offset + _WORD * number)
            for pointer, offset in pointers.items():
                emit.load(word, "u64", pointer, offset + _WORD * number)
                emit.alu(sum_, "+=", word)
            emit.store("u64", RESULT, self._place.offset + _WORD * number, sum_)

    def load(self, sum_: Register) -> None:
        """The first sum, for code that adds to it in a register."""
        self._emit.load(sum_, "u64", RESULT, self._place.offset)

    def store(self, sum_: Register) -> None:
        """What :meth:`load` gave."""
        self._emit.store("u64", RESULT, self._place.offset, sum_)

    def finish(self) -> None:
        """Writes scores and label; no register survives."""
        emit, labels = self._emit, len(self._forest.labels)
        emit.note("the scores: two from each word")
        emit.wide(_FLIP, _SIGNS)
        for word in range(self.words):
            emit.load(_SUM, "u64", RESULT, self._place.offset + _WORD * word)
            emit.alu(_SUM, "^=", _FLIP)
            emit.store("u64" if 2 * word + 1 < labels else "u32", RESULT, SCORES.offset + _WORD * word, _SUM)
        emit_label(emit, labels)
