"""Random forests of every form, and their samples, from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ebpfnn.network.inputformat import InputFormat
from ebpfnn.trees import Forest, Tree

from ..formats import Random, pick

_INT32 = 2**31 - 1
_ENDS = (1, 2, 127, 128, 254, 255)
_MOST_SCORES = 100_000
"""Of all leaves of a forest: more take the oracle, which is slow, too long."""
_KINDS = ("complete", "skinny", "grown", "leaf")
Samples = NDArray[np.uint8]
Nodes = tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32]]


def forest(seed: int) -> Forest:
    """The same for the same seed."""
    random = np.random.default_rng([seed, 7])
    values = pick(random, [1, 2, 6, 30, 64, 255, 256, 257, 300, 900])
    labels = pick(random, [1, 1, 2, 2, 3, 5, 10, int(random.integers(1, 65)), 63, 64])
    seen = random.choice(values, pick(random, [1, min(values, 4), values]), replace=False)
    count, kind = pick(random, [1, 1, 2, 5, 7, 16, 40, 130]), pick(random, ["mixed", *_KINDS])
    deepest = pick(random, [3, 6]) if count > 16 else 10
    again = pick(random, [0, 0.3, 1])  # the share of trees that have the nodes of the one before, and other leaves
    reach = pick(random, [9, 1000, 1 << 20, _INT32]) // (count + 1)
    trees, room = list[Tree](), _MOST_SCORES
    while len(trees) < count and room > 0:
        nodes = _nodes(random, pick(random, _KINDS) if kind == "mixed" else kind, seen, deepest)
        if trees and random.random() < again:
            nodes = trees[-1].values, trees[-1].thresholds, trees[-1].children
        trees.append(Tree(*nodes, _leaves(random, len(nodes[0]) + 1, labels, reach)))
        room -= trees[-1].leaves.size
    names = tuple(f"l{number}" for number in range(labels))
    return Forest(f"forest-{seed}", InputFormat((values,)), names, tuple(trees), _base(random, trees, reach))


def samples(made: Forest, random: Random) -> Samples:
    """uint8 [n, values]: ends, and both sides of thresholds; before each a dense sample, whose remains would show."""
    size = made.input.size
    corners = [np.full(size, value, np.uint8) for value in (0, 1, 127, 254, 255)]
    corners += [random.integers(0, 256, size).astype(np.uint8) for _ in range(8)]
    corners += [random.choice(np.array((0, *_ENDS), np.uint8), size) for _ in range(3)]
    corners += [_along(pick(random, made.trees), size, random) for _ in range(24)]
    dense = random.integers(1, 256, (len(corners), size)).astype(np.uint8)
    return np.stack([dense, np.stack(corners)], axis=1).reshape(-1, size)


def _nodes(random: Random, kind: str, seen: NDArray[np.int64], deepest: int) -> Nodes:
    """Values, thresholds and children of a tree, whose leaves are numbered in any order."""
    depth = {"skinny": int(random.integers(1, 61)), "leaf": 0}.get(kind, int(random.integers(1, deepest + 1)))
    splits = 1.0 if kind == "complete" else random.uniform(0.4, 1)
    children: list[list[int]] = []
    waiting, ends = [(-1, 0, 0)], list[tuple[int, int, int]]()
    while waiting:
        parent, side, level = waiting.pop(0)
        if level == depth or (level and kind != "skinny" and random.random() > splits):
            ends.append((parent, side, level))
            continue
        here = len(children)
        children.append([0, 0])
        if parent >= 0:
            children[parent][side] = here
        going = [int(random.integers(2))] if kind == "skinny" else [0, 1]
        for each in (0, 1):
            (waiting if each in going else ends).append((here, each, level + 1))
    for leaf, (parent, side, _) in zip(random.permutation(len(ends)).tolist(), ends, strict=True):
        if parent >= 0:
            children[parent][side] = -1 - leaf
    looked = random.choice(seen, len(children)).astype(np.int32)
    return looked, _thresholds(random, len(children)), np.array(children, np.int32).reshape(-1, 2)


def _thresholds(random: Random, count: int) -> NDArray[np.uint8]:
    found, at_ends = random.integers(1, 256, count), random.random(count) < 0.3
    found[at_ends] = random.choice(_ENDS, int(at_ends.sum()))
    return found.astype(np.uint8)


def _leaves(random: Random, count: int, labels: int, reach: int) -> NDArray[np.int32]:
    leaves = random.integers(-reach, reach + 1, (count, labels))
    at_ends = random.random(leaves.shape) < 0.2
    leaves[at_ends] = random.choice([-reach, reach, 0], int(at_ends.sum()))
    return leaves.astype(np.int32)


def _base(random: Random, trees: list[Tree], reach: int) -> tuple[int, ...]:
    """Any; or that with which a score may be the least or the greatest int32."""
    least = sum(np.minimum(tree.leaves.astype(np.int64).min(axis=0), 0) for tree in trees)
    most = sum(np.maximum(tree.leaves.astype(np.int64).max(axis=0), 0) for tree in trees)
    drawn = random.integers(-reach, reach + 1, np.shape(least))
    base = pick(random, [drawn, drawn, -_INT32 - 1 - np.asarray(least), _INT32 - np.asarray(most)])
    return tuple(int(each) for each in base)


def _along(tree: Tree, size: int, random: Random) -> Samples:
    """A sample whose values lie at the thresholds of a way down ``tree``, or just below."""
    sample, node = random.integers(0, 256, size).astype(np.uint8), 0 if tree.nodes else -1
    while node >= 0:
        side = int(random.integers(2))
        sample[tree.values[node]] = int(tree.thresholds[node]) - 1 + side
        node = int(tree.children[node, side])
    return sample
