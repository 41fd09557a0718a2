"""An ensemble of trees: frozen dataclasses over numpy arrays, which check themselves. docs/trees.md defines the arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..network import MAX_CLASSES
from ..network import calibration as calibrations
from ..network import events as carried
from ..network.calibration import Calibration
from ..network.inputformat import InputFormat
from ..network.layers import INT32_MAX, INT32_MIN, LARGEST_SIZE, expect
from ..network.model import LABEL, Model, check_result

MOST_TREES = 1 << 12
"""The most trees of a forest."""
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Tree:
    """A binary tree. Its nodes are numbered from the root, 0, so that children come after their parents.

    Node n looks at value ``values[n]`` of the sample, and goes right if it is at least ``thresholds[n]``, 1..255, else left.
    ``children`` int32 [nodes, 2], left and right, holds a node's number, or -1 - k for leaf k. ``leaves`` int32
    [nodes + 1, outputs] has what each leaf adds to the scores. ``values`` is int32, ``thresholds`` uint8. A tree of one leaf
    has no nodes.

    Raises :class:`~ebpfnn.errors.ModelError` where dtypes, shapes or ranges do not fit, or the nodes are no tree.
    """

    values: NDArray[np.int32]
    thresholds: NDArray[np.uint8]
    children: NDArray[np.int32]
    leaves: NDArray[np.int32]

    def __post_init__(self) -> None:
        nodes = len(self.values) if self.values.ndim == 1 else -1
        expect(self.values.dtype == np.int32 and nodes >= 0, "values must be int32 [nodes]")
        expect(self.thresholds.dtype == np.uint8 and self.thresholds.shape == (nodes,), f"thresholds must be uint8 [{nodes}]")
        expect(self.children.dtype == np.int32 and self.children.shape == (nodes, 2), f"children must be int32 [{nodes}, 2]")
        fits = self.leaves.dtype == np.int32 and self.leaves.ndim == 2 and len(self.leaves) == nodes + 1 and self.leaves.size
        expect(bool(fits), f"leaves must be int32 [{nodes + 1}, outputs]")
        expect(nodes == 0 or int(self.thresholds.min()) > 0, "thresholds must lie in 1..255")
        expect(nodes == 0 or int(self.values.min()) >= 0, "values must not be negative")
        self._check_children(nodes)

    def _check_children(self, nodes: int) -> None:
        if nodes == 0:
            return
        later = self.children > np.arange(nodes, dtype=np.int32)[:, None]
        expect(bool((later | (self.children < 0)).all()), "a child must come after its parent")
        found = np.sort(self.children, axis=None)
        whole = np.concatenate([np.arange(-nodes - 1, 0), np.arange(1, nodes)])
        expect(np.array_equal(found, whole), "each leaf, and each node but the root, must be the child of one node")

    @property
    def nodes(self) -> int:
        """Nodes that compare; leaves are not counted."""
        return len(self.values)

    @property
    def outputs(self) -> int:
        """Scores that a leaf adds to."""
        return int(self.leaves.shape[1])

    @cached_property
    def depth(self) -> int:
        """The most comparisons from the root to a leaf."""
        return len(self.levels)

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """The nodes of each level, from the root on."""
        here, found = np.zeros(min(self.nodes, 1), np.int32), []
        while here.size:
            found.append(here.size)
            below = self.children[here].reshape(-1)
            here = below[below >= 0]
        return tuple(found)


@dataclass(frozen=True, eq=False)
class Forest(Model):
    """An ensemble of trees in integers: ``scores = base + the sum of the leaves that the trees reach`` (equation 2).

    Samples are u8, one byte a value, with 8 bits and not packed. ``base`` has one int32 a label. ``tolerance`` is the most by
    which a score times ``score_scale`` differs from that of the trees that were imported or trained, on any sample, 0 or more.
    The other fields are those of :class:`~ebpfnn.network.model.Model`.

    Raises :class:`~ebpfnn.errors.ModelError`, naming the tree, where trees do not fit the samples or labels, or a score could
    overflow int32.
    """

    kind: ClassVar[str] = "trees"

    name: str
    input: InputFormat
    labels: tuple[str, ...]
    trees: tuple[Tree, ...]
    base: tuple[int, ...]
    score_scale: float = 1.0
    tolerance: float = 0.0
    card: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    events: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    result: str = LABEL
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        classes = len(self.labels)
        expect(1 <= len(self.trees) <= MOST_TREES, f"{len(self.trees)} trees; 1 to {MOST_TREES} are taken")
        expect(1 <= classes <= MAX_CLASSES, f"{classes} classes; a result carries 1 to {MAX_CLASSES}")
        expect(self.input.bits == 8 and not self.input.packed, "trees take samples of 8 bits, not packed")
        expect(len(self.base) == classes, f"{len(self.base)} base scores, but there are {classes} labels")
        expect(self.nodes <= LARGEST_SIZE, f"{self.nodes} nodes; at most {LARGEST_SIZE} are taken")
        for number, tree in enumerate(self.trees):
            expect(tree.outputs == classes, f"tree {number} has {tree.outputs} outputs, but there are {classes} labels")
            past = tree.nodes > 0 and int(tree.values.max()) >= self.input.size
            expect(not past, f"tree {number} looks past the {self.input.size} values of a sample")
        expect(self.score_scale > 0 and self.tolerance >= 0, "score_scale must be positive, and tolerance not negative")
        low, high = self.bounds
        fits = min(low) >= INT32_MIN and max(high) <= INT32_MAX
        expect(fits, f"scores can reach {min(low)} or {max(high)}, past int32; use smaller leaves")
        check_result(self)
        calibrations.check(self.calibration, self.labels)
        carried.check(self.events)

    @property
    def nodes(self) -> int:
        """Nodes of all trees that compare."""
        return sum(tree.nodes for tree in self.trees)

    @property
    def depth(self) -> int:
        """That of the deepest tree."""
        return max(tree.depth for tree in self.trees)

    @property
    def bounds(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The lowest and the highest value that each score, and each sum of the first trees of it, stays within."""
        low = high = np.array(self.base, np.int64)
        for tree in self.trees:
            low = low + np.minimum(tree.leaves.min(axis=0).astype(np.int64), 0)
            high = high + np.maximum(tree.leaves.max(axis=0).astype(np.int64), 0)
        return tuple(map(int, low)), tuple(map(int, high))

    @property
    def architecture(self) -> str:
        """``tree:DEPTH``, or ``forest:TREESxDEPTH``."""
        return f"tree:{self.depth}" if len(self.trees) == 1 else f"forest:{len(self.trees)}x{self.depth}"
