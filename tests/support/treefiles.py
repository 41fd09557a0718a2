"""ONNX files of trees for the tests, and what the specification makes of them, node by node in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Leaf = dict[int, float]
"""Weights by class or target."""


@dataclass(frozen=True)
class Split:
    """A node: ``true`` where ``x[feature] mode threshold``, else ``false``. Modes are <=, <, >=, >, ==."""

    feature: int
    mode: str
    threshold: float
    true: Split | Leaf
    false: Split | Leaf


Branch = Split | Leaf
MODES = {"<=": "BRANCH_LEQ", "<": "BRANCH_LT", ">=": "BRANCH_GTE", ">": "BRANCH_GT", "==": "BRANCH_EQ", "!=": "BRANCH_NEQ"}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<=": lambda x, t: x <= t,
    "<": lambda x, t: x < t,
    ">=": lambda x, t: x >= t,
    ">": lambda x, t: x > t,
}


def attributes(trees: Sequence[Branch], prefix: str = "target") -> dict[str, list[Any]]:
    """The nodes as lists, numbered in the order of a walk; the ids of trees are 3, 4, ..., to be no indices."""
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")
    nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names}
    weights: dict[str, list[Any]] = {f"{prefix}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}

    def put(branch: Branch, tree: int, ids: Iterator[int]) -> int:
        own, at = next(ids), len(nodes["nodes_modes"])
        split = branch if isinstance(branch, Split) else Split(0, "leaf", 0.0, {}, {})
        given = (tree, own, split.feature, MODES.get(split.mode, "LEAF"), float(split.threshold), 0, 0, 0)
        for name, value in zip(names, given, strict=True):
            nodes[f"nodes_{name}"].append(value)
        if isinstance(branch, Split):
            nodes["nodes_truenodeids"][at] = put(branch.true, tree, ids)
            nodes["nodes_falsenodeids"][at] = put(branch.false, tree, ids)
        else:
            for output, weight in branch.items():
                for name, value in zip(weights, (tree, own, output, float(weight)), strict=True):
                    weights[name].append(value)
        return own

    for number, tree in enumerate(trees):
        put(tree, number + 3, iter(range(1 << 20)))
    return {**nodes, **weights}


def regressor(trees: Sequence[Branch], **more: Any) -> Any:
    """The node from ``r`` to ``value``."""
    from onnx import helper

    given = {"n_targets": 1, **attributes(trees), **more}
    return helper.make_node("TreeEnsembleRegressor", ["r"], ["value"], "the trees", domain="ai.onnx.ml", **_some(given))


def classifier(trees: Sequence[Branch], labels: Sequence[str | int], **more: Any) -> Any:
    """The node from ``r`` to ``label`` and ``scores``."""
    from onnx import helper

    named = {"classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s": list(labels)}
    given = {**named, **attributes(trees, "class"), **more}
    return helper.make_node(
        "TreeEnsembleClassifier", ["r"], ["label", "scores"], "the trees", domain="ai.onnx.ml", **_some(given)
    )


def _some(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def model(
    trees: Any,
    before: Sequence[Any] = (),
    after: Sequence[Any] = (),
    *,
    columns: int = 3,
    kind: str = "FLOAT",
    outputs: Sequence[str] = (),
    constants: dict[str, np.ndarray] | None = None,
) -> bytes:
    """A file from ``x`` [n, columns] by the nodes ``before``, the last of which gives ``r``, the trees, and ``after``."""
    from onnx import TensorProto, helper, numpy_helper

    first = [] if before else [helper.make_node("Identity", ["x"], ["r"])]
    names = outputs or (("label", "scores") if trees.op_type == "TreeEnsembleClassifier" else ("value",))
    texts = any(each.name == "classlabels_strings" for each in trees.attribute)
    types = {"label": TensorProto.STRING if texts else TensorProto.INT64}
    graph = helper.make_graph(
        [*first, *before, trees, *after],
        "test",
        [helper.make_tensor_value_info("x", getattr(TensorProto, kind), ["n", columns])],
        [helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), _shape(name)) for name in names],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, opset_imports=sets, producer_name="the test")
    made.ir_version = 8
    data: bytes = made.SerializeToString()
    return data


def _shape(name: str) -> list[str]:
    return ["n"] if name in ("label", "same", "cast") else ["n", "m"]


def reached(branch: Branch, row: Sequence[Any], kind: Any = np.float32) -> Leaf:
    """The leaf of ``row``, whose values are rounded to ``kind``; thresholds are float32."""
    while isinstance(branch, Split):
        value = kind(row[branch.feature])
        branch = branch.true if COMPARE[branch.mode](value, np.float32(branch.threshold)) else branch.false
    return branch


def drawn(random: np.random.Generator, depth: int, columns: int = 3, leaves: Iterator[float] | None = None) -> Branch:
    """A tree whose leaves are numbered from 0, or have the next of ``leaves``. Thresholds are of many sizes, and repeat."""
    leaves = leaves or iter(map(float, range(1 << 20)))
    if depth == 0 or random.random() < 0.1:
        return {0: next(leaves)}
    sizes = (0.0, -0.0, 1.0, 1 + 2**-23, 1e-45, -1e-45, 1e-38, 3.4028234663852886e38, -3.4028234663852886e38, 16777216.0)
    some = random.choice([*sizes, *random.normal(size=12) * 10.0 ** random.integers(-6, 7, 12)])
    mode = str(random.choice(list(COMPARE)))
    below = [drawn(random, depth - 1, columns, leaves) for _ in range(2)]
    return Split(int(random.integers(columns)), mode, float(np.float32(some)), *below)


def thresholds(branch: Branch) -> list[float]:
    """All thresholds of a tree."""
    if not isinstance(branch, Split):
        return []
    return [branch.threshold, *thresholds(branch.true), *thresholds(branch.false)]


def around(values: Sequence[float]) -> np.ndarray:
    """float64 values at, beside and halfway beside ``values``, which are float32, and the ends of the range."""
    single = np.unique(np.array(values, np.float32))
    with np.errstate(over="ignore"):
        low, high = np.nextafter(single, np.float32(-np.inf)), np.nextafter(single, np.float32(np.inf))
    at = [each.astype(np.float64) for each in (single, low, high)]
    halves = [(at[0] + each) / 2 for each in at[1:] if np.isfinite(each).all()]
    whole = np.concatenate([*at, *halves])
    whole = whole[np.isfinite(whole)]
    ends = [np.inf, -np.inf, 0.0, -0.0, 3.4028235677973366e38, np.nextafter(3.4028235677973366e38, 0), 1e300, -1e300, 5e-324]
    return np.concatenate([whole, np.nextafter(whole, np.inf), np.nextafter(whole, -np.inf), ends])
