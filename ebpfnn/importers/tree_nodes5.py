"""The nodes of TreeEnsemble, which ai.onnx.ml has from version 5 on: leaves are lists of their own.

https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html defines them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network import MAX_CLASSES
from ..network.layers import LARGEST_SIZE, expect
from ..trees.forest import MOST_TREES
from .onnx_operands import Operands
from .tree_nodes import DEEPEST, LEAF, STRICT, WEAK, Nodes, Places, integers, layers

_MODES = ((STRICT, 0), (WEAK, 0), (WEAK, 1), (STRICT, 1))
"""BRANCH_LEQ, LT, GTE and GT: what a node asks, and which child, the false or the true one, is not the upper."""
_SIDES = (("nodes_falsenodeids", "nodes_falseleafs"), ("nodes_truenodeids", "nodes_trueleafs"))


def read(on: Operands, outputs: int) -> Nodes:
    """The nodes of the TreeEnsemble of ``on``, and a node for each child that is a leaf.

    Raises :class:`ModelError`, naming the node, for nodes that are no trees, and for too many of them.
    """
    feature, modes, threshold = integers(on, "nodes_featureids"), _tensor(on, "nodes_modes"), _tensor(on, "nodes_splits")
    to, weight = integers(on, "leaf_targetids"), _tensor(on, "leaf_weights")
    count, ends = len(feature), len(to)
    expect(count > 0 and ends > 0, f"{on.where} has no nodes, or no leaves; train it first")
    expect(3 * count * outputs <= LARGEST_SIZE, f"{on.where} has {count} nodes of {outputs} outputs; train fewer trees")
    expect(1 <= outputs <= MAX_CLASSES, f"{on.where} has {outputs} outputs; a result carries 1 to {MAX_CLASSES}")
    below, is_leaf = (np.stack([integers(on, names[place]) for names in _SIDES], axis=1) for place in (0, 1))
    sizes = [len(each) for each in (modes, threshold, below, is_leaf)]
    expect(sizes == [count] * 4 and len(weight) == ends, f"{on.where} has lists of other lengths; export it again")
    inside = (below >= 0) & (below < np.where(is_leaf != 0, ends, count))
    expect(bool(inside.all()), f"{on.where} has children that are not there; export it again")
    expect(bool((modes < len(_MODES)).all()), f"{on.where} compares for equality, or with sets; only <=, <, >= and > can be")
    finite = bool(np.isfinite(threshold).all() and np.isfinite(weight).all())
    expect(finite, f"{on.where} has thresholds or weights that are not finite numbers; train again")
    fits = to.min() >= 0 and to.max() < outputs
    expect(bool(fits), f"{on.where} has weights of outputs {to.min()} to {to.max()}, and {outputs} outputs; export it again")
    leaf = below[is_leaf != 0]
    children = below.copy()
    children[is_leaf != 0] = count + np.arange(len(leaf))
    asks, upper = np.array(_MODES, np.int64)[modes.astype(np.int64)].T
    children = np.where((upper == 1)[:, None], children, children[:, ::-1])
    return _whole(on, feature, threshold, asks, children, leaf, (to, weight), outputs)


def _whole(
    on: Operands,
    feature: Places,
    threshold: NDArray[Any],
    asks: Places,
    children: Places,
    leaf: Places,
    weights: tuple[Places, NDArray[Any]],
    outputs: int,
) -> Nodes:
    """Leaves behind the nodes, and the number of the tree of each."""
    count, more = len(feature), len(leaf)
    zeros = np.zeros(more, np.int64)
    every = np.concatenate([children, np.full((more, 2), -1)])
    roots = integers(on, "tree_roots")
    tree = _numbered(on, every, roots, count)
    given, values = np.zeros((count + more, outputs), bool), np.zeros((count + more, outputs))
    place = count + np.arange(more), weights[0][leaf]
    given[place], values[place] = True, weights[1][leaf]
    whole = np.concatenate([asks, zeros + LEAF]).astype(np.int8)
    limits = np.concatenate([threshold, np.zeros(more, threshold.dtype)])
    missing = bool(integers(on, "nodes_missing_value_tracks_true").any())
    return Nodes(whole, np.concatenate([feature, zeros]), limits, every, tree, roots, values, given, missing)


def _numbered(on: Operands, children: Places, roots: Places, count: int) -> Places:
    """The tree of each node, from the roots on. Raises :class:`ModelError` unless each node is in one tree, once."""
    fits = 0 < len(roots) <= MOST_TREES and roots.min() >= 0 and roots.max() < count
    expect(bool(fits), f"{on.where} has {len(roots)} roots, of {count} nodes; 1 to {MOST_TREES} are taken")
    parents = np.bincount(np.concatenate([roots, children[children >= 0]]), minlength=len(children))
    if (parents != 1).any():
        at = int(np.flatnonzero(parents != 1)[0])
        raise ModelError(f"{on.where}: node {at} is the child of {parents[at]}, roots counted; only trees can be imported")
    found = layers(children, roots)
    expect(children[found[-1]].max() < 0, f"{on.where} has trees over {DEEPEST} comparisons deep; train with a max_depth")
    tree = np.full(len(children), -1, np.int64)
    tree[roots] = np.arange(len(roots))
    for layer in found:
        for side in (0, 1):
            inner = layer[children[layer, side] >= 0]
            tree[children[inner, side]] = tree[inner]
    expect(bool((tree >= 0).all()), f"{on.where} has nodes that lead in a circle; export it again")
    return tree


def _tensor(on: Operands, name: str) -> NDArray[Any]:
    from onnx.numpy_helper import to_array

    tensor = on.attribute(name)
    return np.zeros(0) if tensor is None else to_array(tensor).reshape(-1)
