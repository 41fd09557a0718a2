"""docs/trees.md, one function an equation, in integers of Python and in the plainest way: one sample, one node at a time.

Written from that page alone, and without a name from ``ebpfnn``: what is given are the public data classes, of which fields are
read.
"""

from __future__ import annotations

from typing import Any

_INT32 = 2**31


def leaf(tree: Any, sample: list[int]) -> int:
    """(1): the leaf that ``sample`` reaches."""
    if len(tree.values) == 0:
        return 0
    node = 0
    while True:
        side = 1 if sample[int(tree.values[node])] >= int(tree.thresholds[node]) else 0
        child = int(tree.children[node][side])
        if child < 0:
            return -1 - child
        node = child


def scores(forest: Any, sample: list[int]) -> list[int]:
    """(2)"""
    found = [int(base) for base in forest.base]
    for tree in forest.trees:
        row = tree.leaves[leaf(tree, sample)]
        found = [score + int(added) for score, added in zip(found, row, strict=True)]
    assert all(-_INT32 <= score < _INT32 for score in found), "a score has left int32"
    return found


def label(found: list[int]) -> int:
    """(3)"""
    return found.index(max(found))
