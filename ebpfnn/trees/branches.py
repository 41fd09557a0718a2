"""Trees as branches: an if for each node.

The number of the leaf goes through memory that the verifier does not follow, so that all paths are in one state where they
meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..compiler.emitter import FARTHEST, SAMPLE, Emitter
from ..obj.asm import R0, R1, R2, R9, R10
from .forest import Tree
from .leaves import RESULT, Sums, rows

_VALUE, _SAMPLE, _ROW = R0, R1, R2
_TABLE = R9


def emit_branches(emit: Emitter, sums: Sums, trees: Sequence[Tree]) -> None:
    """Adds the leaf that each of ``trees`` reaches; only the register of the result survives."""
    place, offset = emit.region(4), 0
    table = emit.table("leaves", _leaves(trees))
    for number, tree in enumerate(trees):
        emit.note(f"branches: a tree of {tree.nodes} nodes")
        emit.load(_SAMPLE, "u64", R10, SAMPLE)
        _emit_nodes(emit, tree, place.offset)
        emit.load(_ROW, "u32", RESULT, place.offset)
        emit.alu(_ROW, "&=", _mask(tree))
        sums.scale(_ROW)
        emit.map_value(_TABLE, table, offset)
        emit.alu(_ROW, "+=", _TABLE)
        sums.add({_ROW: 0}, _VALUE, _SAMPLE)
        offset += 8 * sums.words * len(trees[number].leaves)


def table_bytes(trees: Sequence[Tree], words: int) -> int:
    """The size of the table of leaves."""
    return 8 * words * (sum(len(tree.leaves) for tree in trees) + max(map(_mask, trees)))


def walked(tree: Tree) -> int:
    """Instructions that the verifier walks for it, without the sums."""
    return tree.nodes + span(tree) + 30


def span(tree: Tree) -> int:
    """Instructions that its jumps go over, at most: two more for a value that a load does not reach."""
    return 4 * tree.nodes + 2 * int(np.count_nonzero(tree.values >= FARTHEST))


def _leaves(trees: Sequence[Tree]) -> np.ndarray:
    """The rows of all trees, from left to right, and as many more as a number that is masked can pass the end by."""
    each = [rows(tree)[in_order(tree)] for tree in trees]
    return np.concatenate([*each, np.zeros((max(map(_mask, trees)), each[0].shape[1]), np.uint64)])


def in_order(tree: Tree) -> list[int]:
    """The leaves of ``tree`` from left to right."""
    found, waiting = [], [0 if tree.nodes else -1]
    while waiting:
        here = waiting.pop()
        if here < 0:
            found.append(-1 - here)
        else:
            waiting += tree.children[here, ::-1].tolist()
    return found


def _mask(tree: Tree) -> int:
    """All bits of the numbers of leaves."""
    return (1 << tree.nodes.bit_length()) - 1


def _emit_nodes(emit: Emitter, tree: Tree, place: int) -> None:
    """Leaves are numbered as they come, so that the last comparison before two of them is a number that is added."""
    done, leaf, waiting = emit.fresh("reached"), 0, [(0 if tree.nodes else -1, "")]
    while waiting:
        node, label = waiting.pop()
        if label:
            emit.label(label)
        while node >= 0 and tree.children[node].max() >= 0:
            right = emit.fresh("right")
            emit.load_far(_VALUE, "u8", _SAMPLE, int(tree.values[node]))
            emit.jump_if(_VALUE, ">=", int(tree.thresholds[node]), right, pending=False)
            waiting.append((int(tree.children[node, 1]), right))
            node = int(tree.children[node, 0])
        if node >= 0:
            emit.load_far(_VALUE, "u8", _SAMPLE, int(tree.values[node]))
            emit.mov(_ROW, int(tree.thresholds[node]) - 1)
            emit.alu(_ROW, "-=", _VALUE)
            emit.alu(_ROW, ">>=", 63)
            emit.alu(_ROW, "+=", leaf)
        else:
            emit.mov(_ROW, leaf)
        leaf += 2 if node >= 0 else 1
        if waiting:
            emit.goto(done)
    emit.label(done)
    emit.store("u32", RESULT, place, _ROW)
    emit.put_off(tree.depth)
