"""Trees in floats, as a file has them, and what they are in integers. docs/trees.md, *From floats*, has the equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import expect
from ..preparation.encoders import FLOAT, INTEGER, MOST, WIDEST
from ..trees.fixedpoint import FloatTree, numbered
from ..trees.forest import Forest
from .tree_bounds import LOWER, Turns, turns
from .tree_columns import Column, Row
from .tree_nodes import STRICT, Nodes, Places, layers

_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Floats:
    """What a graph of trees computes: ``row`` of ``columns`` is compared by ``nodes``.

    The score of each output is ``base`` plus the weights of the leaves, float64 [outputs], divided by ``divisor``.
    """

    columns: tuple[Column, ...]
    row: Row
    nodes: Nodes
    base: NDArray[np.float64]
    divisor: int = 1

    def leaves(self, cells: Sequence[NDArray[Any]]) -> Places:
        """The node that is the leaf of each row in each tree, int64 [n, trees]. ``cells`` [n] are those of each column."""
        nodes, count = self.nodes, len(cells[0])
        kept, feature = np.unique(nodes.feature[~nodes.leaves], return_inverse=True)
        place = np.zeros(len(nodes.asks), np.int64)
        place[~nodes.leaves] = feature
        with np.errstate(over="ignore"):  # a cell beyond float32 is infinite there
            given = [np.asarray(each).astype(column.kind) for each, column in zip(cells, self.columns, strict=True)]
        values = [_compared(made.of(given[made.column])) for made in map(self.row.__getitem__, kept)]
        table = np.stack(values, axis=1) if values else np.zeros((count, 1))
        return _walk(nodes, place, table, np.tile(nodes.roots, (count, 1)))

    def scores(self, cells: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """The scores of rows, float64 [n, outputs]: sums in float64, not in float32 as other programs add them."""
        rows = max(1, _CHUNK // len(self.nodes.roots))
        found = []
        for start in range(0, len(cells[0]), rows):
            leaves = self.leaves([each[start : start + rows] for each in cells])
            found.append(sum((self.nodes.weights[leaf] for leaf in leaves.T), np.zeros((len(leaves), len(self.base)))))
        scores: NDArray[np.float64] = (self.base + np.concatenate(found)) / self.divisor
        return scores


@dataclass(frozen=True, eq=False)
class Ensemble:
    """``forest``, which ``floats`` are in integers."""

    forest: Forest
    floats: Floats

    def named(self, names: tuple[str, ...]) -> Ensemble:
        """With other names of the columns. Raises :class:`ModelError` where they are not as many."""
        columns, form = self.floats.columns, self.forest.input
        fact = f"takes {len(columns)} columns, and {len(names)} are named"
        expect(len(names) == len(columns), f"{fact}; name them all, in the order of the training")
        described = form.preparation.options["columns"]
        options = {"columns": [{**each, "name": name} for each, name in zip(described, names, strict=True)]}
        forest = replace(self.forest, input=replace(form, prepared=replace(form.preparation, options=options)))
        renamed = tuple(replace(each, name=name) for each, name in zip(columns, names, strict=True))
        return Ensemble(forest, replace(self.floats, columns=renamed))


@dataclass(frozen=True, eq=False)
class Compared:
    """Nodes over the bytes of a sample. ``columns`` are as a preparation stores them; ``size`` is that of a sample."""

    columns: list[dict[str, Any]]
    size: int
    trees: list[FloatTree]


def compare(floats: Floats) -> Compared:
    """The bounds of the columns, and the trees that compare bytes.

    Raises :class:`ModelError`, naming the column, for more bounds than a column has.
    """
    nodes = floats.nodes
    branches = np.flatnonzero(~nodes.leaves)
    beyond = nodes.feature[branches]
    fits = not beyond.size or (beyond.min() >= 0 and beyond.max() < len(floats.row))
    expect(
        fits, f"its trees compare column {int(beyond.max(initial=0))}, counted from 0, of {len(floats.row)}; export it again"
    )
    found = _Found(len(nodes.asks), len(floats.columns))
    for feature in np.unique(beyond).tolist():
        _turn(floats, branches[beyond == feature], feature, found)
    described, first = [], 0
    for number, column in enumerate(floats.columns):
        bounds = found.rank(number, first)
        expect(len(bounds) <= WIDEST, f"column '{column.name}' has {len(bounds)} thresholds, over {WIDEST}; train fewer trees")
        kind = INTEGER if column.kind.kind == "i" else FLOAT
        described.append({"name": column.name, "type": kind, "encode": "bins", "bounds": bounds.tolist()})
        first += max(1, -(-len(bounds) // MOST))
    return Compared(described, first, _trees(nodes, found))


class _Found:
    """Of each node: ``value`` and ``threshold`` as :class:`~ebpfnn.trees.Tree` has them, and its ``side`` and ``always``."""

    def __init__(self, nodes: int, columns: int) -> None:
        self.value, self.threshold = np.zeros(nodes, np.int32), np.zeros(nodes, np.uint8)
        self.side, self.always = np.zeros(nodes, np.int8), np.zeros(nodes, np.bool_)
        self._waiting: list[list[tuple[Places, NDArray[Any]]]] = [[] for _ in range(columns)]

    def add(self, column: int, nodes: Places, found: Turns) -> None:
        self.side[nodes], self.always[nodes] = found.side, found.always
        turning = found.side != 0
        self._waiting[column].append((nodes[turning], found.bounds[turning]))

    def rank(self, column: int, first: int) -> NDArray[Any]:
        """The bounds of ``column``, rising, each once; its bytes begin with value ``first`` of the sample."""
        waiting = self._waiting[column]
        if not waiting:
            return np.zeros(0)
        bounds, place = np.unique(np.concatenate([each for _, each in waiting]), return_inverse=True)
        nodes = np.concatenate([each for each, _ in waiting])
        self.value[nodes], self.threshold[nodes] = first + place // MOST, place % MOST + 1
        return bounds


def _turn(floats: Floats, nodes: Places, feature: int, found: _Found) -> None:
    """Where the comparisons of ``nodes``, all of one ``feature``, turn."""
    made = floats.row[feature]
    column = floats.columns[made.column]
    threshold = floats.nodes.threshold[nodes]
    asked = np.empty(len(nodes), [("threshold", threshold.dtype), ("strict", np.bool_)])
    asked["threshold"], asked["strict"] = threshold, floats.nodes.asks[nodes] == STRICT
    each, which = np.unique(asked, return_inverse=True)
    limits, strict = each["threshold"], each["strict"]

    def holds(values: NDArray[Any]) -> NDArray[np.bool_]:
        values = _compared(values)
        return np.where(strict, values > limits, values >= limits)

    turned = turns(made, column.kind, holds, len(each))
    if not np.isfinite(turned.bounds[turned.side != 0]).all():
        raise ModelError(f"column '{column.name}' has a threshold that only infinity reaches; train again")
    found.add(made.column, nodes, Turns(turned.bounds[which], turned.side[which], turned.always[which]))


def _compared(values: NDArray[Any]) -> NDArray[Any]:
    """Integers are compared with thresholds in float32."""
    return values.astype(np.float32) if values.dtype.kind == "i" else values


def _trees(nodes: Nodes, found: _Found) -> list[FloatTree]:
    """Trees without the nodes whose outcome is always the same."""
    children = np.where((found.side == LOWER)[:, None], nodes.children[:, ::-1], nodes.children)
    passed = ~nodes.leaves & (found.side == 0)
    target = np.where(passed, children[np.arange(len(passed)), found.always.astype(np.int64)], np.arange(len(passed)))
    while (target[target] != target).any():
        target = target[target]
    children = np.where(children >= 0, target[children], -1)
    order = np.concatenate(layers(children, target[nodes.roots]))
    order = order[np.argsort(nodes.tree[order], kind="stable")]
    ends = np.cumsum(np.bincount(nodes.tree[order], minlength=len(nodes.roots)))
    number = np.zeros(len(children), np.int64)
    number[order] = np.arange(len(order)) - np.concatenate([[0], ends])[nodes.tree[order]]
    made = []
    for each in np.split(order, ends[:-1]):
        below = np.where(children[each] >= 0, number[children[each]], -1)
        made.append(numbered(found.value[each], found.threshold[each], below, nodes.weights[each]))
    return made


def _walk(nodes: Nodes, place: Places, table: NDArray[Any], at: Places) -> Places:
    rows = np.arange(len(at))[:, None]
    while (ask := nodes.asks[at]).any():
        value, limit = table[rows, place[at]], nodes.threshold[at]
        upper = np.where(ask == STRICT, value > limit, value >= limit).astype(np.int64)
        at = np.where(ask > 0, nodes.children[at, upper], at)
    return at
