"""A forest as the C twin that clang built: the object is the same for every forest, and its maps are filled."""

from __future__ import annotations

import copy
import struct
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..built import read_built
from ..compiler import Body
from ..compiler.twin import VERIFIER_WALKS
from ..network.layers import expect
from ..obj import ObjectSpec
from .forest import Forest, Tree

NODE = np.dtype([("value", "<u4"), ("threshold", "<u4"), ("next", "<u4", 2), ("row", "<u4")])
"""``struct nn_tree_node`` of bpf/include/ebpfnn/trees.h."""

_MOST_BYTES = 1 << 26


def build_twin(forest: Forest) -> Body:
    """``ebpfnn_infer`` for ``forest`` in readable C.

    Raises :class:`ModelError` for a forest that a kernel's verifier does not walk.
    """
    steps = verifier_steps(forest)
    fact = f"model '{forest.name}' ({forest.architecture}) takes a verifier some {steps:,} steps in C"
    expect(steps <= VERIFIER_WALKS, f"{fact}, and it walks {VERIFIER_WALKS:,}; use fewer trees or levels, or leave out --twin")
    size = NODE.itemsize * _power(2 * forest.nodes + len(forest.trees))
    expect(size <= _MOST_BYTES, f"model '{forest.name}' takes {size:,} bytes of nodes in C; there is room for {_MOST_BYTES:,}")
    return Body(lay_out(forest), _power(forest.input.size))


def verifier_steps(forest: Forest) -> int:
    """The instructions that a verifier walks, some more or less: it walks every turn of every loop."""
    labels, trees = len(forest.labels), len(forest.trees)
    return trees * (20 * forest.depth + 12 * labels + 14) + 7 * forest.input.size + 22 * labels + 100


def lay_out(forest: Forest) -> ObjectSpec:
    """The object of :func:`build_twin`, with variables set and maps filled and frozen."""
    nodes, roots = _nodes(forest)
    rows = sum(len(tree.leaves) for tree in forest.trees)
    leaves = np.zeros((_power(rows), len(forest.labels)), np.int32)
    leaves[:rows] = np.concatenate([tree.leaves for tree in forest.trees])
    spec = copy.copy(read_built("trees"))
    spec.maps = dict(spec.maps)
    numbers = {"count": len(forest.trees), "depth": forest.depth, "values": forest.input.size, "labels": len(forest.labels)}
    numbers |= {"node_mask": len(nodes) - 1, "row_mask": len(leaves) - 1, "value_mask": _power(forest.input.size) - 1}
    for name, number in numbers.items():
        spec.set_variable(f"nn_tree_{name}", struct.pack("<I", number))
    base = np.array(forest.base, np.int32)
    for name, table in {"nodes": nodes, "roots": roots, "base": base, "leaves": leaves}.items():
        _contents(spec, f"nn_tree_{name}", table)
    return spec


def _nodes(forest: Forest) -> tuple[NDArray[np.void], NDArray[np.uint32]]:
    """All nodes, then all leaves, up to a power of two; and the root of each tree."""
    inner, rows = forest.nodes, sum(len(tree.leaves) for tree in forest.trees)
    nodes, roots = np.zeros(_power(inner + rows), NODE), np.zeros(len(forest.trees), np.uint32)
    nodes["next"] = np.arange(len(nodes), dtype=np.uint32)[:, np.newaxis]
    nodes["row"][inner : inner + rows] = np.arange(rows)
    first, leaf = 0, inner
    for number, tree in enumerate(forest.trees):
        roots[number] = first if tree.nodes else leaf
        _fill(nodes[first : first + tree.nodes], tree, first, leaf)
        first, leaf = first + tree.nodes, leaf + len(tree.leaves)
    return nodes, roots


def _fill(nodes: NDArray[np.void], tree: Tree, first: int, leaf: int) -> None:
    children = tree.children.astype(np.int64)[:, ::-1]
    nodes["value"], nodes["threshold"] = tree.values, tree.thresholds
    nodes["next"] = np.where(children < 0, leaf - 1 - children, first + children)


def _power(count: int) -> int:
    """The power of two that is not less."""
    return 1 << (count - 1).bit_length()


def _contents(spec: ObjectSpec, name: str, array: NDArray[np.generic]) -> None:
    contents = array.tobytes().ljust(8, b"\0")
    spec.resize_map(name, value_size=len(contents))
    spec.maps[name] = replace(spec.maps[name], contents=contents, frozen=True)
