"""The nodes of a tree ensemble in ONNX: lists of numbers, which are checked and become arrays.

https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html defines them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network import MAX_CLASSES
from ..network.layers import LARGEST_SIZE, expect
from ..trees.forest import MOST_TREES
from .onnx_operands import Operands

Places = NDArray[np.int64]
LEAF, STRICT, WEAK = 0, 1, 2
"""What a node asks: nothing, ``x > threshold``, or ``x >= threshold``."""
_MODES = {
    "BRANCH_LEQ": (STRICT, 0),
    "BRANCH_LT": (WEAK, 0),
    "BRANCH_GTE": (WEAK, 1),
    "BRANCH_GT": (STRICT, 1),
    "LEAF": (LEAF, 0),
}
"""Of each mode what its node asks, and which of its children, the true or the false one, is the upper: that of a yes."""
DEEPEST = 256
"""The most comparisons from a root to a leaf."""
_ID_BITS = 31


@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes of all trees, leaves too, as arrays [nodes].

    ``asks`` is one of :data:`LEAF`, :data:`STRICT`, :data:`WEAK`; ``feature`` is which number is compared, with ``threshold``.
    ``children`` [nodes, 2] are the numbers of the lower child, which a no leads to, and of the upper one; -1 at leaves.
    ``tree`` numbers the trees from 0, and ``roots`` [trees] are their first nodes. ``weights`` float64 [nodes, outputs] is what
    a leaf adds, and ``given`` bool [nodes, outputs] whether the file says it. ``missing`` is whether some node sends missing
    values along its true branch.
    """

    asks: NDArray[np.int8]
    feature: Places
    threshold: NDArray[Any]
    children: Places
    tree: Places
    roots: Places
    weights: NDArray[np.float64]
    given: NDArray[np.bool_]
    missing: bool

    @property
    def leaves(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.asks == LEAF
        return found


def read(on: Operands, prefix: str, outputs: int) -> Nodes:
    """The nodes of the tree ensemble of ``on``. Its weights have names that begin with ``prefix``, ``class`` or ``target``.

    Raises :class:`ModelError`, naming tree and node, for nodes that are no trees, and for too many of them.
    """
    count = _size(on, "nodes_nodeids")
    expect(count > 0, f"{on.where} has no nodes; train it first")
    expect(count * outputs <= LARGEST_SIZE, f"{on.where} has {count} nodes of {outputs} outputs; at most {LARGEST_SIZE} in all")
    _check_lengths(on, count)
    ids, trees = integers(on, "nodes_nodeids"), integers(on, "nodes_treeids")
    names, tree = np.unique(trees, return_inverse=True)
    expect(len(names) <= MOST_TREES, f"{on.where} has {len(names)} trees; at most {MOST_TREES} are taken, so train fewer")
    expect(
        ids.min() >= 0 and ids.max() >> _ID_BITS == 0,
        f"{on.where} has node ids that are negative or beyond 31 bits; export it again",
    )
    keys = tree << _ID_BITS | ids
    order = np.argsort(keys, kind="stable")
    twice = order[1:][keys[order][1:] == keys[order][:-1]]
    if twice.size:
        raise ModelError(f"{on.where}: node {ids[twice[0]]} of tree {trees[twice[0]]} is there twice; export it again")
    index = _Index(on, keys[order], order, names)
    asks, upper = _modes(on, ids, trees)
    branches = np.flatnonzero(asks)
    children = np.full((count, 2), -1, np.int64)
    for side, name in enumerate(("nodes_falsenodeids", "nodes_truenodeids")):
        to = index.of(tree[branches], integers(on, name)[branches], f"a child in {name}")
        children[branches, np.where(upper[branches] == side, 1, 0)] = to
    roots = _roots(on, tree, children[branches], names, len(names))
    feature, threshold = integers(on, "nodes_featureids"), floats(on, "nodes_values")
    expect(bool(np.isfinite(threshold[branches]).all()), f"{on.where} has thresholds that are not finite numbers; train again")
    weights, given = _weights(on, prefix, outputs, index, asks)
    tracks = integers(on, "nodes_missing_value_tracks_true")
    missing = bool(tracks.size and tracks[branches].any())
    found = Nodes(asks, feature, threshold, children, tree, roots, weights, given, missing)
    _check_reached(on, found, names)
    return found


def layers(children: Places, roots: Places) -> list[Places]:
    """The nodes that ``roots`` lead to, those of each depth together, :data:`DEEPEST` + 1 of them at most."""
    found = [roots]
    while len(found) <= DEEPEST:
        below = children[found[-1]].reshape(-1)
        below = below[below >= 0]
        if not below.size:
            break
        found.append(below)
    return found


class _Index:
    """Finds nodes by tree and id: ``keys`` are sorted, and ``order`` are the numbers of their nodes."""

    def __init__(self, on: Operands, keys: Places, order: Places, names: Places) -> None:
        self._on, self._keys, self._order, self._names = on, keys, order, names

    def of(self, tree: Places, ids: Places, what: str) -> Places:
        """Raises :class:`ModelError` for ids that are not there; ``what`` tells what they are."""
        wanted = tree << _ID_BITS | np.where(ids >> _ID_BITS == 0, ids, 0)
        place = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        lost = np.flatnonzero((self._keys[place] != wanted) | (ids >> _ID_BITS != 0))
        if lost.size:
            which = f"node {ids[lost[0]]} of tree {self._names[tree[lost[0]]]}"
            raise ModelError(f"{self._on.where} has {what}, {which}, that is not there; export it again")
        found: Places = self._order[place]
        return found

    def trees(self, trees: Places) -> Places:
        """Numbers of trees from 0, by their names. Raises :class:`ModelError` for one without nodes."""
        place = np.minimum(np.searchsorted(self._names, trees), len(self._names) - 1)
        lost = trees[self._names[place] != trees]
        expect(not lost.size, f"{self._on.where} has weights of tree {lost[:1]}, which has no nodes; export it again")
        return place


def _check_lengths(on: Operands, count: int) -> None:
    names = ("treeids", "featureids", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true")
    sizes = {f"nodes_{name}": _size(on, f"nodes_{name}") for name in names}
    if not sizes["nodes_missing_value_tracks_true"]:
        del sizes["nodes_missing_value_tracks_true"]
    sizes["nodes_values"] = len(floats(on, "nodes_values"))
    for name, size in sizes.items():
        expect(size == count, f"{on.where} has {count} nodes but {size} {name}; export it again")


def _modes(on: Operands, ids: Places, trees: Places) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    names, which = np.unique(np.array(on.attribute("nodes_modes"), dtype=np.bytes_), return_inverse=True)
    texts = [name.decode("utf-8", "replace") for name in names.tolist()]
    for number, text in enumerate(texts):
        if text not in _MODES:
            at = int(np.flatnonzero(which == number)[0])
            kinds = {
                "BRANCH_EQ": "compares for equality",
                "BRANCH_NEQ": "compares for equality",
                "BRANCH_MEMBER": "splits by sets",
            }
            fact = f"{kinds.get(text, 'is of a mode that is not known')}, {text!r}"
            raise ModelError(f"{on.where}: node {ids[at]} of tree {trees[at]} {fact}; only <=, <, >= and > can be imported")
    known = np.array([_MODES[text] for text in texts], np.int8)[which]
    return known[:, 0], known[:, 1]


def _roots(on: Operands, tree: Places, children: Places, names: Places, count: int) -> Places:
    """The only node of each tree that is no child, which must be the first of its tree in the list."""
    parents = np.bincount(children.reshape(-1), minlength=len(tree))
    if int(parents.max(initial=0)) > 1:
        at = int(np.argmax(parents))
        raise ModelError(
            f"{on.where}: a node of tree {names[tree[at]]} is the child of {parents[at]}; only trees can be imported"
        )
    heads = np.flatnonzero(parents == 0)
    per_tree = np.bincount(tree[heads], minlength=count)
    for number in np.flatnonzero(per_tree != 1)[:1].tolist():
        fact = "no root: its nodes lead in a circle" if per_tree[number] == 0 else f"{per_tree[number]} roots"
        raise ModelError(f"{on.where}: tree {names[number]} has {fact}; export it again")
    _, first = np.unique(tree, return_index=True)
    roots: Places = heads[np.argsort(tree[heads])]
    for number in np.flatnonzero(roots != first)[:1]:
        raise ModelError(f"{on.where}: tree {names[number]} does not begin with its root; export it again")
    return roots


def _check_reached(on: Operands, nodes: Nodes, names: Places) -> None:
    found = layers(nodes.children, nodes.roots)
    if nodes.children[found[-1]].max() >= 0:
        tree = names[nodes.tree[found[-1][0]]]
        raise ModelError(f"{on.where}: tree {tree} is over {DEEPEST} comparisons deep; train it with a max_depth")
    reached = np.zeros(len(nodes.tree), bool)
    reached[np.concatenate(found)] = True
    for lost in np.flatnonzero(~reached)[:1]:
        raise ModelError(f"{on.where}: nodes of tree {names[nodes.tree[lost]]} lead in a circle; export it again")


def _weights(
    on: Operands, prefix: str, outputs: int, index: _Index, asks: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    expect(1 <= outputs <= MAX_CLASSES, f"{on.where} has {outputs} outputs; a result carries 1 to {MAX_CLASSES}")
    trees, ids, to = (integers(on, f"{prefix}_{name}") for name in ("treeids", "nodeids", "ids"))
    values = floats(on, f"{prefix}_weights")
    sizes = [len(each) for each in (trees, ids, to, values)]
    expect(len(set(sizes)) == 1 and sizes[0] > 0, f"{on.where} has weights in lists of {sizes} entries; export it again")
    expect(bool(np.isfinite(values).all()), f"{on.where} has weights that are not finite numbers; train again")
    node = index.of(index.trees(trees), ids, "a weight at a leaf")
    expect(not asks[node].any(), f"{on.where} has weights at nodes that are no leaves; export it again")
    fits = to.min() >= 0 and to.max() < outputs
    expect(fits, f"{on.where} has weights of outputs {to.min()} to {to.max()}, and {outputs} outputs; export it again")
    weights, given = np.zeros((len(asks), outputs)), np.zeros((len(asks), outputs), bool)
    np.add.at(weights, (node, to), values.astype(np.float64))
    given[node, to] = True
    return weights, given


def _size(on: Operands, name: str) -> int:
    """How many numbers or texts an attribute has, before any is made an object of."""
    return sum(len(each.ints) + len(each.floats) + len(each.strings) for each in on.node.attribute if each.name == name)


def integers(on: Operands, name: str) -> Places:
    found = next((each.ints for each in on.node.attribute if each.name == name), ())
    return np.fromiter(found, np.int64, len(found))


def floats(on: Operands, name: str) -> NDArray[Any]:
    """float32, or float64 of the attribute that holds doubles."""
    from onnx.numpy_helper import to_array

    tensor = on.attribute(f"{name}_as_tensor")
    if tensor is not None:
        return to_array(tensor).reshape(-1)
    found = next((each.floats for each in on.node.attribute if each.name == name), ())
    return np.fromiter(found, np.float32, len(found))
