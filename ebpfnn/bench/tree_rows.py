"""The same trees in scikit-learn and onnxruntime, called from Python for one sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..trees import Forest, Tree
from .float_rows import ONNX_LIBRARIES
from .onnx_model import session_of
from .python_rows import Infer, PythonRunner

SKLEARN, ONNX = "scikit-learn", "onnxruntime"
_LIBRARIES: dict[str, tuple[str, ...]] = {SKLEARN: ("sklearn",), ONNX: ONNX_LIBRARIES}
_INPUT, _OUTPUT = "samples", "scores"
_OPSETS, _IR_VERSION = (("", 17), ("ai.onnx.ml", 3)), 8


class SklearnRunner(PythonRunner):
    """``predict`` of scikit-learn, of a tree or forest that has these nodes and leaves: sums, which are exact."""

    takes = "float32"

    def __init__(self, forest: Forest) -> None:
        super().__init__(SKLEARN, len(forest.labels))
        self._trees, self._base = len(forest.trees), np.array(forest.base)
        self._estimator = estimator(forest)

    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        predict = self._estimator.predict
        given = list(samples.reshape(len(samples), 1, -1).astype(np.float32))
        return lambda index: predict(given[index])

    def as_scores(self, found: Any) -> NDArray[np.int32]:
        """A forest of scikit-learn gives the mean of its trees."""
        sums = np.rint(np.asarray(found).reshape(self.classes) * self._trees)
        return np.asarray(sums + self._base, np.int32)


class OnnxTreeRunner(PythonRunner):
    """onnxruntime on a TreeEnsembleRegressor: sums of float32."""

    exact = False
    takes = "float32"

    def __init__(self, forest: Forest) -> None:
        super().__init__(ONNX, len(forest.labels))
        self._forest = forest

    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        run = session_of(as_onnx(self._forest)).run
        given = list(samples.reshape(len(samples), 1, -1).astype(np.float32))
        return lambda index: run(None, {_INPUT: given[index]})


def of_one_label(tree: Tree) -> int:
    """The label that ``tree`` alone adds to, the first if it adds nothing to any; -1 if there are several."""
    added = np.flatnonzero(tree.leaves.any(axis=0))
    return int(added[0]) if len(added) == 1 else 0 if not len(added) else -1


def boosted(forest: Forest) -> bool:
    """Whether each tree adds to one label of several, as trees of gradient boosting do."""
    return len(forest.labels) > 1 and all(of_one_label(tree) >= 0 for tree in forest.trees)


def tree_rows(forest: Forest, left_out: dict[str, str]) -> Iterator[PythonRunner]:
    """The rows whose library is installed; ``left_out`` gets the reasons for the others."""
    kinds: dict[str, Callable[[Forest], PythonRunner]] = {SKLEARN: SklearnRunner, ONNX: OnnxTreeRunner}
    for name, kind in kinds.items():
        missing = next((library for library in _LIBRARIES[name] if not find_spec(library)), None)
        if missing:
            left_out[name] = f"{missing} is not installed"
        elif name == SKLEARN and boosted(forest):
            left_out[name] = "scikit-learn has boosted trees in a form that cannot be made of these"
        else:
            yield kind(forest)


def estimator(forest: Forest) -> Any:
    """A regressor of scikit-learn with one output a label, which was never fitted: a tree, or a forest of several."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.tree import DecisionTreeRegressor

    classes, members = len(forest.labels), []
    for tree in forest.trees:
        member = DecisionTreeRegressor()
        member.tree_ = _sklearn_tree(tree, forest.input.size, classes)
        member.n_outputs_, member.n_features_in_ = classes, forest.input.size
        members.append(member)
    if len(members) == 1:
        return members[0]
    found = RandomForestRegressor(len(members), n_jobs=1)
    found.estimators_, found.n_outputs_, found.n_features_in_ = members, classes, forest.input.size
    return found


def _sklearn_tree(tree: Tree, size: int, classes: int) -> Any:
    """It goes left where a value is no more than the threshold, and its leaves are nodes behind the others."""
    from sklearn.tree._tree import NODE_DTYPE
    from sklearn.tree._tree import Tree as Own

    nodes = np.zeros(2 * tree.nodes + 1, NODE_DTYPE)
    nodes["left_child"], nodes["right_child"], nodes["feature"], nodes["threshold"] = -1, -1, -2, -2
    inner = nodes[: tree.nodes]
    children = np.where(tree.children >= 0, tree.children, tree.nodes - 1 - tree.children)
    inner["left_child"], inner["right_child"], inner["feature"] = children[:, 0], children[:, 1], tree.values
    inner["threshold"] = tree.thresholds - 0.5
    nodes["n_node_samples"] = nodes["weighted_n_node_samples"] = 1
    values = np.zeros((len(nodes), classes, 1))
    values[tree.nodes :, :, 0] = tree.leaves
    own = Own(size, np.ones(classes, np.intp), classes)
    own.__setstate__({"max_depth": tree.depth, "node_count": len(nodes), "nodes": nodes, "values": values})
    return own


def as_onnx(forest: Forest) -> Any:
    """A model whose input is one sample, float32 [1, values], and whose output are its scores, float32 [1, labels]."""
    from onnx import TensorProto, helper

    classes = len(forest.labels)
    listed: dict[str, Any] = {}
    for number, tree in enumerate(forest.trees):
        for name, values in _nodes(number, tree, classes).items():
            listed.setdefault(name, []).extend(values)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        [_INPUT],
        [_OUTPUT],
        domain="ai.onnx.ml",
        n_targets=classes,
        base_values=list(map(float, forest.base)),
        **listed,
    )
    inputs = [helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, [1, forest.input.size])]
    outputs = [helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, [1, classes])]
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS]
    return helper.make_model(helper.make_graph([node], "trees", inputs, outputs), ir_version=_IR_VERSION, opset_imports=opsets)


def _nodes(number: int, tree: Tree, classes: int) -> dict[str, list[Any]]:
    """The attributes of one tree: its nodes by their number, and then its leaves, without labels that it adds nothing to."""
    leaves = len(tree.leaves)
    nothing = [0] * leaves
    children = np.where(tree.children >= 0, tree.children, tree.nodes - 1 - tree.children)
    added = np.flatnonzero(tree.leaves.any(axis=0)) if tree.leaves.any() else np.arange(classes)
    at = [tree.nodes + leaf for leaf in range(leaves) for _ in added]
    return {
        "nodes_treeids": [number] * (tree.nodes + leaves),
        "nodes_nodeids": list(range(tree.nodes + leaves)),
        "nodes_featureids": [*tree.values.tolist(), *nothing],
        "nodes_values": [*map(float, tree.thresholds.tolist()), *map(float, nothing)],
        "nodes_modes": ["BRANCH_GTE"] * tree.nodes + ["LEAF"] * leaves,
        "nodes_truenodeids": [*children[:, 1].tolist(), *nothing],
        "nodes_falsenodeids": [*children[:, 0].tolist(), *nothing],
        "target_treeids": [number] * len(at),
        "target_nodeids": at,
        "target_ids": added.tolist() * leaves,
        "target_weights": list(map(float, tree.leaves[:, added].ravel().tolist())),
    }
