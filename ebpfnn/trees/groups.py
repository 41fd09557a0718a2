"""Which trees share words of 64 bits, a bit a leaf, when they are compiled as masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .forest import Tree

WORD_BITS, MOST_WORDS = 64, 4
MOST_LEAVES = WORD_BITS * MOST_WORDS
_ALL = (1 << WORD_BITS) - 1


@dataclass(frozen=True)
class Member:
    """A tree of a group: its leaves are bits of ``word``, from ``bit`` on, and of the words after it if they are more."""

    tree: Tree
    word: int
    bit: int

    @property
    def leaves(self) -> int:
        return len(self.tree.leaves)

    @property
    def words(self) -> int:
        return -(-self.leaves // WORD_BITS)


@dataclass
class Group:
    """Trees whose words are in registers at once."""

    members: list[Member] = field(default_factory=list)
    words: int = 0

    def take(self, tree: Tree) -> bool:
        """Whether the leaves of ``tree`` find room."""
        leaves = len(tree.leaves)
        if leaves <= WORD_BITS and self.words and self._used + leaves <= WORD_BITS:
            self.members.append(Member(tree, self.words - 1, self._used))
            return True
        more = -(-leaves // WORD_BITS)
        if self.words + more > MOST_WORDS:
            return False
        self.members.append(Member(tree, self.words, 0))
        self.words += more
        return True

    @property
    def words_by_value(self) -> dict[int, set[int]]:
        """The words that each value may have a say in."""
        found: dict[int, set[int]] = {}
        for member in self.members:
            for value in np.unique(member.tree.values).tolist():
                found.setdefault(value, set()).update(range(member.word, member.word + member.words))
        return found

    @property
    def owned(self) -> NDArray[np.uint64]:
        """The bits that are leaves, uint64 [words]."""
        bits = [0] * self.words
        for member in self.members:
            whole = (1 << member.leaves) - 1 << member.bit
            for word in range(member.words):
                bits[member.word + word] |= whole >> WORD_BITS * word & _ALL
        return np.array(bits, np.uint64)

    def is_alone(self, member: Member) -> bool:
        """Whether no other tree has bits in the first word of ``member``."""
        return sum(other.word == member.word for other in self.members) == 1

    @property
    def _used(self) -> int:
        """Bits of the last word that are taken."""
        last = self.members[-1]
        return last.bit + last.leaves if last.words == 1 else WORD_BITS


def groups_of(trees: Sequence[Tree]) -> list[Group]:
    """All of ``trees``, in order. None has more than :data:`MOST_LEAVES` leaves."""
    groups = [Group()]
    for tree in trees:
        if not groups[-1].take(tree):
            groups.append(Group())
            groups[-1].take(tree)
    return groups
