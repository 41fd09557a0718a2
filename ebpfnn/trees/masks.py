"""Trees as masks of leaves: for each value that a tree looks at, its byte selects the leaves that it allows.

The leaves of several small trees are the bits of one word; a large tree takes up to four words. A leaf allows an interval of
each value, which the nodes above it cut out. So of each tree one bit is left when the masks of all values are combined by
``&``, and no branch depends on the sample. A multiplication by a de Bruijn sequence turns a bit into a number of six bits,
which no other bit has. (QuickScorer, Lucchese et al., SIGIR 2015, has masks of nodes that are false, and takes the first leaf
that is left.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..compiler.emitter import FARTHEST, SAMPLE, Emitter
from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R9, R10, Register
from .forest import Tree
from .groups import MOST_WORDS, WORD_BITS, Group, Member, groups_of
from .leaves import Sums, rows

DIRECT_BYTES = 1 << 14
"""The most bytes of tables with a row for every byte; above it, bytes are mapped to intervals first."""
_BYTES = 256
_DE_BRUIJN = 0x03F79D71B4CB0A89
_WORDS, _ROW, _MASK, _MULTIPLIER, _SAMPLE, _TABLE = (R1, R2, R3, R4), R0, R5, R6, R7, R9


@dataclass(frozen=True)
class Looked:
    """The masks of one ``value`` for a group: uint64 [256, words], of ``words``, those that the value has a say in."""

    value: int
    words: tuple[int, ...]
    masks: NDArray[np.uint64]

    @property
    def stride(self) -> int:
        """Bytes of a row, a power of two."""
        return 8 << (len(self.words) - 1).bit_length()

    @property
    def intervals(self) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
        """Of each byte the number of its interval, [256], and the masks of each interval."""
        changes = (self.masks[1:] != self.masks[:-1]).any(axis=1)
        return np.concatenate([[0], np.cumsum(changes)]).astype(np.uint8), self.masks[np.concatenate([[True], changes])]

    def table(self, *, direct: bool) -> NDArray[np.uint8]:
        """The rows of all bytes; or the number of each byte's interval, then the rows of the intervals."""
        numbers, masks = (np.zeros(0, np.uint8), self.masks) if direct else self.intervals
        padded = np.zeros((len(masks), self.stride // 8), np.uint64)
        padded[:, : len(self.words)] = masks
        return np.concatenate([numbers, padded.view(np.uint8).reshape(-1)])


def looked_at(group: Group) -> list[Looked]:
    """By value."""
    values = np.unique(np.concatenate([member.tree.values for member in group.members]))
    masks = np.tile(group.owned, (len(values), _BYTES, 1))
    for member in group.members:
        mine, low, high = boxes(member.tree)
        for value, least, end in zip(np.searchsorted(values, mine).tolist(), low, high, strict=True):
            _exclude(masks[value], member, least, end)
    changed = (masks != group.owned).any(axis=1)
    words = [np.flatnonzero(each) for each in changed]
    return [
        Looked(value, tuple(chosen.tolist()), mask[:, chosen])
        for value, chosen, mask in zip(values.tolist(), words, masks, strict=True)
        if len(chosen)
    ]


def boxes(tree: Tree) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """The values that ``tree`` looks at; and what of each leads to each leaf, bytes from ``low`` to below ``high``.

    Both are int64 [values, leaves].
    """
    values, place = np.unique(tree.values, return_inverse=True)
    low, high = (np.full((len(values), 2 * tree.nodes + 1), bound, np.int64) for bound in (0, _BYTES))  # nodes, then leaves
    below = np.where(tree.children < 0, tree.nodes - 1 - tree.children, tree.children)
    for node, (left, right) in enumerate(below.tolist()):
        value, threshold = place[node], int(tree.thresholds[node])
        for child in (left, right):
            low[:, child], high[:, child] = low[:, node], high[:, node]
        high[value, left] = min(high[value, left], threshold)
        low[value, right] = max(low[value, right], threshold)
    return values, low[:, tree.nodes :], high[:, tree.nodes :]


def _exclude(masks: NDArray[np.uint64], member: Member, low: NDArray[np.int64], high: NDArray[np.int64]) -> None:
    """Clears the bits of leaves that bytes do not lead to, of one value."""
    inside = np.arange(_BYTES)[:, np.newaxis]
    bits = np.zeros((_BYTES, WORD_BITS * member.words), np.bool_)
    bits[:, member.bit : member.bit + member.leaves] = (inside < low) | (inside >= high)
    outside = np.packbits(bits, axis=1, bitorder="little").view("<u8")
    masks[:, member.word : member.word + member.words] &= ~outside


def emit_masks(emit: Emitter, sums: Sums, trees: Sequence[Tree]) -> None:
    """Adds the leaf that each of ``trees`` reaches; only the register of the result survives."""
    groups = groups_of(trees)
    looked = [looked_at(group) for group in groups]
    direct = is_direct(looked)
    tables = [each.table(direct=direct) for of_group in looked for each in of_group]
    slack = 0 if direct else _BYTES * 8 * MOST_WORDS  # the verifier does not know that there are fewer intervals
    masks = emit.table("masks", np.concatenate([*tables, np.zeros(slack, np.uint8)]))
    by_bit = [_leaves_by_bit(group, sums.words) for group in groups]
    leaves = emit.table("leaves_by_bit", np.concatenate([*by_bit, np.zeros((WORD_BITS, sums.words), np.uint64)]))
    emit.wide(_MULTIPLIER, _DE_BRUIJN)
    sizes, at, first = iter(map(len, tables)), 0, 0
    for group, of_group in zip(groups, looked, strict=True):
        emit.note(f"masks: {len(group.members)} trees in {group.words} words, {len(of_group)} values")
        emit.load(_SAMPLE, "u64", R10, SAMPLE)
        emit.map_value(_TABLE, masks, at)
        at += _emit_words(emit, group, of_group, [next(sizes) for _ in of_group], direct=direct)
        emit.map_value(_TABLE, leaves, first)
        _emit_leaves(emit, sums, group)
        first += 8 * sums.words * WORD_BITS * group.words


def is_direct(looked: Sequence[Sequence[Looked]]) -> bool:
    """Whether tables have rows for all bytes."""
    return sum(_BYTES * each.stride for of_group in looked for each in of_group) <= DIRECT_BYTES


def table_bytes(groups: Sequence[Group], words: int) -> tuple[bool, int]:
    """Whether tables have rows for all bytes, and the size of all tables; it is at most that."""
    rows_of_leaves = 8 * words * WORD_BITS * (1 + sum(group.words for group in groups))
    strides = [8 << (len(looking) - 1).bit_length() for group in groups for looking in group.words_by_value.values()]
    if _BYTES * sum(strides) <= DIRECT_BYTES:
        return True, _BYTES * sum(strides) + rows_of_leaves
    nodes = sum(member.tree.nodes for group in groups for member in group.members)
    by_interval = _BYTES * len(strides) + sum(strides) + (nodes * max(strides, default=0))
    return False, by_interval + rows_of_leaves + _BYTES * 8 * MOST_WORDS


def _leaves_by_bit(group: Group, words: int) -> NDArray[np.uint64]:
    """The rows of leaves by word and by the number of their bit, uint64 [64 * words of the group, words]."""
    found = np.zeros((group.words * WORD_BITS, words), np.uint64)
    for member in group.members:
        bits = member.bit + np.arange(member.leaves, dtype=np.uint64)
        number = (np.uint64(_DE_BRUIJN) << bits % np.uint64(WORD_BITS)) >> np.uint64(58)
        found[(member.word + bits // np.uint64(WORD_BITS)) * np.uint64(WORD_BITS) + number] = rows(member.tree)
    return found


def _emit_words(emit: Emitter, group: Group, looked: Sequence[Looked], sizes: Sequence[int], *, direct: bool) -> int:
    """All masks, in registers: the number of bytes of their tables."""
    at, begun = 0, set[int]()
    for each, size in zip(looked, sizes, strict=True):
        emit.load_far(_ROW, "u8", _SAMPLE, each.value)
        base = at
        if not direct:
            emit.alu(_ROW, "+=", _TABLE)
            emit.load_far(_ROW, "u8", _ROW, base)
            base += _BYTES
        emit.alu(_ROW, "<<=", each.stride.bit_length() - 1)
        emit.alu(_ROW, "+=", _TABLE)
        if base + each.stride >= FARTHEST:
            emit.alu(_ROW, "+=", base)
            base = 0
        for place, word in enumerate(each.words):
            into = _MASK if word in begun else _WORDS[word]
            emit.load(into, "u64", _ROW, base + 8 * place)
            if word in begun:
                emit.alu(_WORDS[word], "&=", _MASK)
            begun.add(word)
        at += size
    for word in set(range(group.words)) - begun:
        emit.wide(_WORDS[word], int(group.owned[word]))
    return at


def _emit_leaves(emit: Emitter, sums: Sums, group: Group) -> None:
    """Adds the leaf of every tree of ``group``. A single sum stays in a register meanwhile: memory takes longer to add to."""
    alone = sums.words == 1
    if alone:
        sums.load(_SAMPLE)
    for member in group.members:
        _emit_row(emit, member, group)
        sums.scale(_ROW)
        emit.alu(_ROW, "+=", _TABLE)
        base = 8 * sums.words * WORD_BITS * member.word
        if base + 8 * sums.words >= FARTHEST:
            emit.alu(_ROW, "+=", base)
            base = 0
        if alone:
            emit.load(_ROW, "u64", _ROW, base)
            emit.alu(_SAMPLE, "+=", _ROW)
        else:
            sums.add({_ROW: base}, _MASK, _SAMPLE)
    if alone:
        sums.store(_SAMPLE)


def _emit_row(emit: Emitter, member: Member, group: Group) -> None:
    """The number of a row of leaves, from that of the first word of ``member`` on."""
    words = _WORDS[member.word : member.word + member.words]
    emit.mov(_ROW, words[0])
    for word in words[1:]:
        emit.alu(_ROW, "|=", word)
    if not group.is_alone(member):
        field = (1 << member.leaves) - 1 << member.bit
        if field < 1 << 31:
            emit.alu(_ROW, "&=", field)
        else:
            emit.wide(_MASK, field)
            emit.alu(_ROW, "&=", _MASK)
    emit.alu(_ROW, "*=", _MULTIPLIER)
    emit.alu(_ROW, ">>=", WORD_BITS - 6)
    for bit, those in ((6, words[1::2]), (7, words[2:])):
        _emit_in_one_of(emit, those, bit)


def _emit_in_one_of(emit: Emitter, words: Sequence[Register], bit: int) -> None:
    """Adds ``1 << bit`` to the number of the row if one of ``words`` has a bit."""
    if not words:
        return
    emit.mov(_MASK, words[0])
    for word in words[1:]:
        emit.alu(_MASK, "|=", word)
    emit.negate(_MASK)
    emit.alu(_MASK, ">>=", WORD_BITS - 1)
    emit.alu(_MASK, "<<=", bit)
    emit.alu(_ROW, "+=", _MASK)
