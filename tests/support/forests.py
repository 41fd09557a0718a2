"""Forests for tests, from seeds."""

from __future__ import annotations

import numpy as np

from ebpfnn.network.inputformat import InputFormat
from ebpfnn.trees import Forest, Tree

Random = np.random.Generator


def grown(random: Random, depth: int, values: int, labels: int, share: float = 0.9, largest: int = 1000) -> Tree:
    """A tree of at most ``depth`` levels; below the root, a ``share`` of the nodes that have room exists."""
    looked: list[int] = []
    children: list[list[int]] = []
    waiting, leaves = [(-1, 0, 0)] if depth else [], 0
    while waiting:
        parent, side, level = waiting.pop(0)
        if parent >= 0 and (level == depth or random.random() > share):
            children[parent][side], leaves = -1 - leaves, leaves + 1
            continue
        if parent >= 0:
            children[parent][side] = len(looked)
        here = len(looked)
        looked.append(int(random.integers(values)))
        children.append([0, 0])
        waiting += [(here, 0, level + 1), (here, 1, level + 1)]
    thresholds = random.choice([1, 255, *range(2, 255, 7)], len(looked)).astype(np.uint8)
    return tree(looked, thresholds, children, random.integers(-largest, largest + 1, (len(looked) + 1, labels)))


def skinny(random: Random, depth: int, values: int, labels: int) -> Tree:
    """A tree of one node a level."""
    children = [[-1 - node, node + 1] if random.random() < 0.5 else [node + 1, -1 - node] for node in range(depth)]
    children[-1] = [-depth, -1 - depth]
    thresholds = random.integers(1, 256, depth).astype(np.uint8)
    return tree(random.integers(0, values, depth), thresholds, children, random.integers(-9999, 9999, (depth + 1, labels)))


def tree(values: object, thresholds: object, children: object, leaves: object) -> Tree:
    """One of lists."""
    return Tree(
        np.array(values, np.int32).reshape(-1),
        np.array(thresholds, np.uint8).reshape(-1),
        np.array(children, np.int32).reshape(-1, 2),
        np.ascontiguousarray(leaves, np.int32),
    )


def forest(trees: list[Tree], values: int, base: int = 7) -> Forest:
    labels = tuple(map(str, range(trees[0].outputs)))
    return Forest("test", InputFormat((values,)), labels, tuple(trees), (base,) * len(labels))


def random_forest(seed: int, trees: int, depth: int, values: int, labels: int, share: float = 0.9) -> Forest:
    random = np.random.default_rng(seed)
    return forest([grown(random, depth, values, labels, share) for _ in range(trees)], values, seed)


def samples_of(made: Forest, seed: int, count: int = 200) -> np.ndarray:
    """uint8 [n, values]: drawn ones, and the ends."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, 256, (count, made.input.size)).astype(np.uint8)
    return np.concatenate([drawn, np.zeros_like(drawn[:1]), np.full_like(drawn[:1], 255), np.full_like(drawn[:1], 1)])
