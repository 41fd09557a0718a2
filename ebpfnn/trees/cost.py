"""What a forest costs by each shape, in nanoseconds, without the sums' beginning and the label, which are the same for all.

The constants were fitted to forests that scikit-learn trained on flows (6 values), on its breast cancer data (30) and on its
digits (64): one tree and sixteen of depth 8, a hundred of depth 6, and a hundred boosted ones of depth 3, over 6,144 rows whose
order was drawn anew for each round, so that no branch is learned by heart (a Zen 4 of 3.4 GHz; docs/trees.md has the figures).
"""

from __future__ import annotations

from collections.abc import Sequence

from .forest import Tree
from .groups import Group
from .walk import AT_A_TIME

INSTRUCTION = 0.075
"""An instruction that waits for nothing."""
_LEVEL_ALONE = 2.0
"""A level of a walk that nothing else fills the time of."""
_MISPREDICTED = 5.0
_SURPRISES, _MORE_SURPRISES, _MOST_SURPRISES = 0.18, 0.02, 0.3
"""The share of branches that are mispredicted: of few nodes, more per thousand nodes, and at most."""
_NEAR, _FAR, _MISS = 96 << 10, 384 << 10, 0.1
"""Tables of so many bytes stay near; with so many more, an instruction of masks takes so much longer."""


def branches(trees: Sequence[Tree], words: int) -> float:
    """A comparison and a jump a level, some of them mispredicted."""
    nodes = sum(tree.nodes for tree in trees)
    share = min(_SURPRISES + _MORE_SURPRISES * nodes / 1000, _MOST_SURPRISES)
    level = 2 * INSTRUCTION + share * _MISPREDICTED
    return sum(level * mean_depth(tree) + INSTRUCTION * (8 + 4 * words) for tree in trees)


def walk(trees: Sequence[Tree], words: int, values: int) -> float:
    """All levels of all trees, and a copy of the sample."""
    ordered = sorted((tree.depth for tree in trees), reverse=True)
    deepest = [ordered[first] for first in range(0, len(ordered), AT_A_TIME)]
    levels = sum(depth * min(AT_A_TIME, len(ordered) - number * AT_A_TIME) for number, depth in enumerate(deepest))
    busy = INSTRUCTION * (10 * levels + (3 + 2.4 * words) * len(trees))
    copied = 2 * INSTRUCTION * (-(-values // 8) + 2)
    return max(busy, _LEVEL_ALONE * max(deepest, default=0)) + copied


def masks(groups: Sequence[Group], words: int, direct: bool, table_bytes: int) -> float:
    """All masks of all groups, and the number of each leaf."""
    far = min(max(table_bytes - _NEAR, 0) / _FAR, 1.0)
    return mask_instructions(groups, words, direct) * (INSTRUCTION + _MISS * far)


def mask_instructions(groups: Sequence[Group], words: int, direct: bool) -> int:
    """At most: a value may have no say in some words of a large tree."""
    each, found = 3 if direct else 5, 0
    for group in groups:
        found += 6 + sum(each + 2 * len(looking) for looking in group.words_by_value.values())
        found += sum(7 + 6 * (member.words - 1) + 4 * words for member in group.members)
    return found


def mean_depth(tree: Tree) -> float:
    """The comparisons on the way to a leaf if each goes either way as often."""
    return sum(nodes / (1 << level) for level, nodes in enumerate(tree.levels))
