"""TreeEnsemble of ai.onnx.ml 5: values and labels are those of onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxes import session
from treefiles import Branch, Split, around, drawn, thresholds

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.preparation import Values
from ebpfnn.preparation.columns import preparer, read
from ebpfnn.trees import Forest, reference

pytest.importorskip("onnx")
MODES = {"<=": 0, "<": 1, ">=": 2, ">": 3, "==": 4}


def attributes(trees: list[Split]) -> dict[str, Any]:
    """The lists of the operator: nodes and leaves in the order of a walk."""
    nodes: list[list[Any]] = []
    leaves: list[tuple[int, float]] = []
    roots = []

    def put(branch: Branch) -> tuple[int, int]:
        if not isinstance(branch, Split):
            leaves.append(next(iter(branch.items())))
            return len(leaves) - 1, 1
        nodes.append([branch.feature, MODES[branch.mode], branch.threshold, 0, 0, 0, 0])
        at = len(nodes) - 1
        nodes[at][3:5], nodes[at][5:7] = put(branch.true), put(branch.false)
        return at, 0

    for tree in trees:
        roots.append(put(tree)[0])
    feature, modes, splits, true, true_leaf, false, false_leaf = map(list, zip(*nodes, strict=True))
    return {
        "tree_roots": roots,
        "nodes_featureids": feature,
        "nodes_modes": np.array(modes, np.uint8),
        "nodes_splits": np.array(splits, np.float32),
        "nodes_truenodeids": true,
        "nodes_trueleafs": true_leaf,
        "nodes_falsenodeids": false,
        "nodes_falseleafs": false_leaf,
        "leaf_targetids": [target for target, _ in leaves],
        "leaf_weights": np.array([weight for _, weight in leaves], np.float32),
    }


def model(given: dict[str, Any], after: Any = None, output: str = "z", **more: Any) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    tensors = {name: numpy_helper.from_array(each, name) for name, each in given.items() if isinstance(each, np.ndarray)}
    node = helper.make_node("TreeEnsemble", ["x"], ["z"], "the trees", domain="ai.onnx.ml", **{**given, **tensors, **more})
    kind = TensorProto.INT64 if output == "label" else TensorProto.FLOAT
    graph = helper.make_graph(
        [node, *([after] if after else [])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info(output, kind, ["n"] if output == "label" else ["n", "m"])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)])
    made.ir_version = 9
    data: bytes = made.SerializeToString()
    return data


def imported(data: bytes, tmp_path: Path) -> Forest:
    path = tmp_path / "five.onnx"
    path.write_bytes(data)
    found = importers.load(path)
    assert isinstance(found, Forest)
    return found


def scores(forest: Forest, rows: np.ndarray) -> np.ndarray:
    prepare = preparer(read(forest.input.preparation.options))
    return reference.scores(forest, np.stack([prepare(Values(row)) for row in rows]))


def grown(seed: int) -> list[Split]:
    """Three trees whose leaves are numbers, of other bits each."""
    random = np.random.default_rng(seed)
    found = [drawn(random, 5, leaves=iter((random.permutation(64) * 2.0 ** (6 * place)).tolist())) for place in range(3)]
    return [tree for tree in found if isinstance(tree, Split)]


@pytest.mark.parametrize("how", [0, 1])
def test_a_value(how: int, tmp_path: Path) -> None:
    trees = grown(3)
    data = model(attributes(trees), n_targets=1, aggregate_function=how)
    forest = imported(data, tmp_path)
    rows = np.random.default_rng(1).choice(around([each for tree in trees for each in thresholds(tree)]), (400, 3))
    with np.errstate(over="ignore"):
        expected = session(data).run(None, {"x": rows.astype(np.float32)})[0].reshape(-1)
    mine = scores(forest, rows)[:, 0] * forest.score_scale
    assert np.abs(mine - expected).max() <= (0 if how else 0.02)
    assert (forest.result, forest.labels) == ("value", ("z",))


def test_a_label_by_an_argmax(tmp_path: Path) -> None:
    from onnx import helper

    random = np.random.default_rng(9)

    def of(branch: Branch) -> Branch:
        if isinstance(branch, Split):
            return Split(branch.feature, branch.mode, branch.threshold, of(branch.true), of(branch.false))
        return {int(random.integers(4)): float(random.normal())}

    trees = [of(tree) for seed in (1, 2, 3) for tree in grown(seed)]
    last = helper.make_node("ArgMax", ["z"], ["label"], axis=1, keepdims=0)
    data = model(attributes([tree for tree in trees if isinstance(tree, Split)]), last, "label", n_targets=4)
    forest = imported(data, tmp_path)
    rows = random.choice(around([each for tree in trees for each in thresholds(tree)]), (400, 3))
    with np.errstate(over="ignore"):
        expected = session(data).run(None, {"x": rows.astype(np.float32)})[0].reshape(-1)
    assert scores(forest, rows).argmax(axis=1).tolist() == expected.tolist()
    assert forest.labels == ("0", "1", "2", "3")


PLAIN = Split(0, "<=", 0.5, {0: 1.0}, Split(1, "<", 0.25, {0: 2.0}, {0: 3.0}))


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"nodes_truenodeids": [9, 1]}, "children that are not there"),
        ({"nodes_falsenodeids": [0, 2]}, "node 0 is the child of 2"),
        ({"nodes_falsenodeids": [1, 2], "nodes_falseleafs": [1, 1]}, "node 1 is the child of 0"),
        ({"tree_roots": [5]}, "has 1 roots, of 2 nodes"),
        ({"nodes_featureids": [0, 3]}, "compare column 3"),
        ({"nodes_featureids": [0]}, "lists of other lengths"),
        ({"leaf_targetids": [0, 0, 1]}, "weights of outputs 0 to 1"),
        ({"nodes_splits": np.array([np.nan, 0], np.float32)}, "not finite"),
        ({"nodes_modes": np.array([0, 4], np.uint8)}, "compares for equality"),
        ({"aggregate_function": 3}, "takes the least or the greatest"),
        ({"post_transform": 2}, "ends with transform 2"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], fact: str, tmp_path: Path) -> None:
    given = {"n_targets": 1, **attributes([PLAIN]), **changes}
    with pytest.raises(ModelError, match=fact) as caught:
        imported(model(given), tmp_path)
    assert "\n" not in str(caught.value)
