"""Trees from ONNX: each row reaches the leaf that the specification says, and has onnxruntime's label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxes import session
from treefiles import Branch, Leaf, Split, around, classifier, drawn, model, reached, regressor, thresholds

from ebpfnn import importers
from ebpfnn.importers import Ensemble, ImportOptions
from ebpfnn.preparation import Row, Values
from ebpfnn.preparation.columns import preparer, read
from ebpfnn.trees import Forest, reference

pytest.importorskip("onnx")
HERE = Path(__file__).parents[1] / "data" / "trees"
FILES = sorted(each.stem for each in HERE.glob("*.onnx"))


def imported(data: bytes, tmp_path: Path, **options: Any) -> Ensemble:
    path = tmp_path / "trees.onnx"
    path.write_bytes(data)
    found = importers.read(path, ImportOptions(**options))
    assert isinstance(found, Ensemble)
    return found


def scores(forest: Forest, rows: np.ndarray) -> np.ndarray:
    prepare = preparer(read(forest.input.preparation.options))
    return reference.scores(forest, np.stack([prepare(Values(row)) for row in rows]))


def of(branch: Branch, change: Callable[[Leaf], Leaf]) -> Branch:
    """The tree with other leaves."""
    if not isinstance(branch, Split):
        return change(branch)
    return replace(branch, true=of(branch.true, change), false=of(branch.false, change))


def rows_at(random: np.random.Generator, values: np.ndarray, columns: int, count: int = 400) -> np.ndarray:
    """Rows of some ``values`` each."""
    return random.choice(values, (count, columns))


@pytest.mark.parametrize("seed", range(30))
def test_every_row_reaches_the_leaf_of_the_specification(seed: int, tmp_path: Path) -> None:
    """One tree whose leaves are numbers: the value is the leaf. Rows lie at thresholds and beside them, in both types."""
    random = np.random.default_rng(seed)
    tree = drawn(random, 6)
    forest = imported(model(regressor([tree])), tmp_path).forest
    rows = rows_at(random, around(thresholds(tree)), 3)
    with np.errstate(over="ignore"):
        expected = [reached(tree, row)[0] for row in rows]
    assert (scores(forest, rows)[:, 0] * forest.score_scale).tolist() == expected


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE", "INT64", "INT32"])
def test_every_type_of_input_compares_as_onnxruntime(kind: str, tmp_path: Path) -> None:
    """Three trees for a class each, so that the scores are the numbers of their leaves."""
    random = np.random.default_rng(5)
    trees = [of(drawn(random, 5), lambda leaf, output=output: {output: leaf[0]}) for output in range(3)]
    data = model(classifier(trees, (0, 1, 2)), kind=kind)
    forest = imported(data, tmp_path).forest
    rows = rows_at(random, around([each for tree in trees for each in thresholds(tree)]), 3)
    if kind.startswith("INT"):
        bits = int(kind[3:])
        whole = [*range(-5, 20), *(2**24 + step for step in range(-3, 4)), 2 ** (bits - 1) - 1, -(2 ** (bits - 1))]
        rows = random.choice(np.array(whole, np.int64), (400, 3)).astype(f"int{bits}")
    with np.errstate(over="ignore"):
        given = rows.astype(np.float32) if kind == "FLOAT" else rows
    expected = session(data).run(None, {"x": given})[1]
    assert (scores(forest, rows) * forest.score_scale).tolist() == expected.tolist()
    types = {each["type"] for each in forest.input.preparation.options["columns"]}
    assert types == {"integer" if kind.startswith("INT") else "float"}


def steps() -> dict[str, tuple[list[Any], dict[str, np.ndarray]]]:
    from onnx import TensorProto, helper

    def node(kind: str, inputs: list[str], out: str = "r", **attributes: Any) -> Any:
        domain = "ai.onnx.ml" if kind in ("Scaler", "Binarizer", "ArrayFeatureExtractor") else ""
        return helper.make_node(kind, inputs, [out], domain=domain, **attributes)

    three = np.array([0.3, -7.0, 1e-3], np.float32)
    scale = {"offset": [0.1, -3.0, 1e6], "scale": [0.37, -2.5, 1e-7]}
    return {
        "Scaler": ([node("Scaler", ["x"], **scale)], {}),
        "Scaler of one": ([node("Scaler", ["x"], offset=[0.7], scale=[1 / 3])], {}),
        "Binarizer": ([node("Binarizer", ["x"], threshold=0.5)], {}),
        "Clip": ([node("Clip", ["x", "low", "high"])], {"low": np.float32(-1), "high": np.float32(0.75)}),
        "columns": ([node("ArrayFeatureExtractor", ["x", "which"])], {"which": np.array([2, 0, 2])}),
        "Gather": ([node("Gather", ["x", "which"], axis=1)], {"which": np.array([1, 1, 0])}),
        "Add, Mul": ([node("Mul", ["x", "by"], "m"), node("Add", ["m", "by"])], {"by": three}),
        "from a constant": ([node("Sub", ["by", "x"])], {"by": three}),
        "Div": ([node("Div", ["x", "by"])], {"by": three[None]}),
        "to double and back": (
            [
                node("Cast", ["x"], "d", to=TensorProto.DOUBLE),
                node("Mul", ["d", "by"], "m"),
                node("Cast", ["m"], to=TensorProto.FLOAT),
            ],
            {"by": np.array([1 / 3])},
        ),
        "Concat": (
            [
                node("ArrayFeatureExtractor", ["x", "which"], "a"),
                node("Scaler", ["a"], "b", offset=[1.5], scale=[-0.2]),
                node("Concat", ["b", "a"], axis=1),
            ],
            {"which": np.array([1, 2])},
        ),
    }


@pytest.mark.parametrize("name", steps())
def test_steps_before_trees_are_the_operations_of_onnxruntime(name: str, tmp_path: Path) -> None:
    """Thresholds are values that the step gives, so that rounding decides."""
    before, constants = steps()[name]
    random = np.random.default_rng(11)
    cells = np.concatenate([random.normal(size=60) * 10.0 ** random.integers(-3, 4, 60), [0.5, -1.0, 0.75, 1e38, -1e38]])
    plain = model(regressor([Split(0, "<=", 0.0, {0: 1.0}, {0: 2.0})]), before, outputs=["r"], constants=constants)
    given = random.choice(cells, (400, 3)).astype(np.float32)
    seen = session(plain).run(None, {"x": given})[0]

    def tree(depth: int, leaves: Any) -> Branch:
        if depth == 0:
            return {0: next(leaves)}
        mode, feature = str(random.choice(["<=", "<", ">=", ">"])), int(random.integers(3))
        return Split(
            feature,
            mode,
            float(random.choice(seen[np.isfinite(seen[:, feature]), feature])),
            tree(depth - 1, leaves),
            tree(depth - 1, leaves),
        )

    data = model(regressor([tree(6, iter(map(float, range(64))))]), before, constants=constants)
    forest = imported(data, tmp_path).forest
    beside = [np.nextafter(given, np.float32(way)) for way in (np.inf, -np.inf)]
    rows = np.concatenate([given, *beside])
    expected = session(data).run(None, {"x": rows})[0].reshape(-1)
    assert (scores(forest, rows)[:, 0] * forest.score_scale).tolist() == expected.tolist()
    assert len(set(expected.tolist())) > 1


@pytest.mark.parametrize("name", FILES)
def test_files_of_exporters(name: str) -> None:
    """Labels are onnxruntime's unless float sums are as close as float32 rounds; values are within that and the tolerance."""
    import onnx
    from onnx.helper import get_attribute_value

    path = HERE / f"{name}.onnx"
    found = importers.read(path)
    assert isinstance(found, Ensemble)
    forest = found.forest
    graph = onnx.load(path).graph
    (trees,) = [node for node in graph.node if node.op_type.startswith("TreeEnsemble")]
    own = {each.name: get_attribute_value(each) for each in trees.attribute}
    assert len(forest.trees) == len(set(own["nodes_treeids"]))
    columns = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    random = np.random.default_rng(3)
    bounds = [each["bounds"] or [0.0] for each in forest.input.preparation.options["columns"]]
    rows = np.stack([random.choice(np.concatenate([each, np.nextafter(each, -np.inf)]), 1000) for each in bounds], axis=1)
    assert rows.shape[1] == columns
    outputs = session(path.read_bytes()).run(None, {graph.input[0].name: rows.astype(np.float32)})
    given, floats = scores(forest, rows), found.floats.scores(list(rows.T))
    assert np.abs(given * forest.score_scale - floats).max() <= forest.tolerance * (1 + 1e-9)
    noise = len(forest.trees) * 2**-23 * np.abs(floats).max()
    if forest.result != "label":
        assert np.abs(outputs[0].reshape(floats.shape) - floats).max() <= noise
        assert forest.result == ("value" if floats.shape[1] == 1 else "vector")
        assert forest.labels == ((graph.output[0].name,) if forest.result == "value" else ("0", "1"))
        return
    lead = np.sort(floats, axis=1)
    clear = lead[:, -1] - lead[:, -2] > noise + 2 * forest.tolerance
    mine = np.array(forest.labels)[given.argmax(axis=1)]
    assert clear.sum() > 800
    assert set(mine.tolist()) == set(forest.labels)
    assert mine[clear].tolist() == [str(label) for label in outputs[0][clear].tolist()]


def test_tolerance_is_the_most_by_which_a_score_is_off(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    trees = [drawn(random, 4, leaves=iter(random.normal(size=99) * 100)) for _ in range(9)]
    data = model(regressor(trees, base_values=[0.1]))
    forest = imported(data, tmp_path).forest
    rows = rows_at(random, around([each for tree in trees for each in thresholds(tree)]), 3)
    with np.errstate(over="ignore"):
        sums = [
            sum((Fraction(float(np.float32(reached(tree, row)[0]))) for tree in trees), Fraction(float(np.float32(0.1))))
            for row in rows
        ]
    given = [Fraction(int(score)) * Fraction(forest.score_scale) for score in scores(forest, rows)[:, 0]]
    worst = max(abs(mine - exact) for mine, exact in zip(given, sums, strict=True))
    assert 0 < worst <= Fraction(forest.tolerance)
    assert forest.tolerance <= 10 * forest.score_scale
    low, high = forest.bounds
    assert 2**29 < max(abs(low[0]), abs(high[0])) < 2**31


def test_an_average(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    trees = [drawn(random, 3, leaves=iter(random.normal(size=99))) for _ in range(3)]
    data = model(regressor(trees, base_values=[5.0], aggregate_function="AVERAGE"))
    forest = imported(data, tmp_path).forest
    rows = rows_at(random, random.normal(size=99), 3)
    expected = session(data).run(None, {"x": rows.astype(np.float32)})[0].reshape(-1)
    assert np.abs(scores(forest, rows)[:, 0] * forest.score_scale - expected).max() < 2e-6
    assert (forest.result, forest.labels) == ("value", ("value",))


def line(*weights: dict[int, float]) -> Branch:
    """Leaves one after another along x0: the first below 1, the next below 2, ..."""
    tree: Branch = weights[-1]
    for place in range(len(weights) - 1, 0, -1):
        tree = Split(0, "<", float(place), weights[place - 1], tree)
    return tree


TWO: dict[str, tuple[list[dict[int, float]], dict[str, Any]]] = {
    "probabilities": ([{0: 0.2}, {0: 0.5}, {0: 0.8}], {}),
    "probabilities and a base": ([{0: 0.2}, {0: 0.5}, {0: 0.8}], {"base_values": [0.1]}),
    "of the second class": ([{1: 0.2}, {1: 0.5}, {1: 0.8}], {}),
    "logits": ([{0: -0.2}, {0: 0.0}, {0: 0.2}], {"post_transform": "LOGISTIC"}),
    "logits and a base": ([{0: -0.2}, {0: 0.0}, {0: 0.2}], {"base_values": [-0.1], "post_transform": "LOGISTIC"}),
    "logits of the second": ([{1: -0.2}, {1: 0.0}, {1: 0.2}], {"post_transform": "LOGISTIC"}),
    "raw": ([{0: -0.2}, {0: 0.3}, {0: 0.7}], {}),
    "no negative logit": ([{0: 0.2}, {0: 0.3}, {0: 0.7}], {"post_transform": "LOGISTIC"}),
}


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize("labels", [("no", "yes"), (7, -3)], ids=["strings", "integers"])
def test_two_classes_by_one_score(name: str, labels: tuple[Any, Any], tmp_path: Path) -> None:
    leaves, more = TWO[name]
    data = model(classifier([line(*leaves)], labels, **more))
    forest = imported(data, tmp_path).forest
    rows = np.array([[place + 0.5, 0, 0] for place in range(3)])
    expected = session(data).run(None, {"x": rows.astype(np.float32)})[0].tolist()
    assert forest.labels == tuple(map(str, labels))
    assert [forest.labels[place] for place in scores(forest, rows).argmax(axis=1)] == list(map(str, expected))
    assert ("onnxruntime" in forest.card.get("import", "")) == (name == "no negative logit")


def test_half_of_the_votes_are_for_the_first_class(tmp_path: Path) -> None:
    """1/20 in float32 is above 1/20, ten times that above 1/2, and its nearest float32 is 1/2."""
    votes = [line({0: 0.0}, {0: 0.05}) if place < 10 else line({0: 0.0}, {0: 0.0}, {0: 0.05}) for place in range(20)]
    forest = imported(model(classifier(votes, ("no", "yes"))), tmp_path).forest
    assert scores(forest, np.array([[0.5, 0, 0], [1.5, 0, 0], [2.5, 0, 0]])).argmax(axis=1).tolist() == [0, 0, 1]


def test_three_classes_of_boosted_trees(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    trees = [drawn(random, 3) for _ in range(12)]

    boosted = [of(tree, lambda _, output=number % 3: {output: float(random.normal())}) for number, tree in enumerate(trees)]
    data = model(classifier(boosted, ("a", "b", "c"), post_transform="SOFTMAX", base_values=[0.1, -0.2, 0.3]))
    forest = imported(data, tmp_path, labels=("x", "y", "z"), columns=("one", "two", "three")).forest
    rows = rows_at(random, random.normal(size=200) * 10.0 ** random.integers(-6, 7, 200), 3)
    expected = session(data).run(None, {"x": rows.astype(np.float32)})[0].tolist()
    assert ["abc"[place] for place in scores(forest, rows).argmax(axis=1)] == expected
    assert forest.labels == ("x", "y", "z")
    assert preparer(read(forest.input.preparation.options))(Row({"three": 1, "two": 2, "one": 3})).shape == (forest.input.size,)


def test_inputs_of_one_column_each_have_their_names(tmp_path: Path) -> None:
    """As skl2onnx writes a pipeline over the columns of a data frame."""
    from onnx import TensorProto, helper

    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in ("size", "age")]
    pair = helper.make_tensor_value_info("pair", TensorProto.FLOAT, ["n", 2])
    join = helper.make_node("Concat", ["age", "pair", "size"], ["r"], axis=1)
    tree = Split(0, "<=", 1.0, {0: 1.0}, Split(2, ">", 5.0, {0: 2.0}, Split(3, "<", 7.0, {0: 3.0}, {0: 4.0})))
    value = helper.make_tensor_value_info("value", TensorProto.FLOAT, ["n", 1])
    graph = helper.make_graph([join, regressor([tree])], "test", [*given, pair], [value])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
    forest = imported(made.SerializeToString(), tmp_path).forest
    assert [each["name"] for each in forest.input.preparation.options["columns"]] == ["size", "age", "pair0", "pair1"]
    prepare = preparer(read(forest.input.preparation.options))
    rows = [{"age": 1}, {"age": 2, "pair1": 6}, {"age": 2, "size": 6}, {"age": 2, "size": 7}]
    samples = np.stack([prepare(Row({"size": 0, "age": 0, "pair0": 0, "pair1": 0, **row})) for row in rows])
    assert (reference.scores(forest, samples)[:, 0] * forest.score_scale).tolist() == [1, 2, 3, 4]


def test_a_forest_of_more_numbers_than_a_network_has_fields(tmp_path: Path) -> None:
    """61,410 nodes, eight lists of as many numbers."""

    def full(depth: int, low: float, step: float, leaf: float) -> Branch:
        if depth == 0:
            return {0: leaf}
        return Split(0, "<=", low, full(depth - 1, low - step, step / 2, 0.0), full(depth - 1, low + step, step / 2, leaf + 1))

    forest = imported(model(regressor([full(10, float(tree), 256.0, 0.0) for tree in range(30)])), tmp_path).forest
    assert forest.nodes == 30 * 1023
    assert (scores(forest, np.array([[-2000.0, 0, 0], [2000.0, 0, 0]]))[:, 0] * forest.score_scale).tolist() == [0, 300]


def test_columns_without_thresholds_have_a_byte_of_0(tmp_path: Path) -> None:
    forest = imported(model(regressor([Split(1, "<=", 0.5, {0: 1.0}, {0: 2.0})])), tmp_path).forest
    assert [each["name"] for each in forest.input.preparation.options["columns"]] == ["x0", "x1", "x2"]
    assert preparer(read(forest.input.preparation.options))(Values(np.array([9.0, 0.75, 9.0]))).tolist() == [0, 1, 0]


def test_more_thresholds_than_a_byte_counts(tmp_path: Path) -> None:
    """600 thresholds in one column, and one in the column behind it."""

    def search(low: int, high: int) -> Branch:
        if low == high:
            return {0: float(low)}
        middle = (low + high) // 2
        return Split(0, "<=", float(middle), search(low, middle), search(middle + 1, high))

    trees = [search(0, 600), Split(1, ">", 0.0, {0: 1000.0}, {0: 0.0})]
    forest = imported(model(regressor(trees)), tmp_path).forest
    rows = np.array([[value, side, 0] for value in np.arange(-1, 602, 0.5) for side in (-1, 1)])
    expected = [min(max(np.ceil(value), 0), 600) + 1000 * (side > 0) for value, side, _ in rows]
    assert (scores(forest, rows)[:, 0] * forest.score_scale).tolist() == expected
    assert forest.input.size == 3 + 1 + 1


def test_comparisons_that_always_turn_out_alike_are_left_out(tmp_path: Path) -> None:
    """A Binarizer gives 0 and 1: nothing is above 2 or below -1, and a tree of such comparisons is one leaf."""
    from onnx import helper

    before = [helper.make_node("Binarizer", ["x"], ["r"], domain="ai.onnx.ml", threshold=3.0)]
    inner = Split(1, "<", 0.5, {0: 5.0}, Split(1, ">", -1.0, {0: 6.0}, {0: 7.0}))
    trees = [Split(0, ">=", 2.0, {0: 1.0}, inner), Split(0, ">", 2.0, {0: 10.0}, {0: 20.0})]
    forest = imported(model(regressor(trees), before), tmp_path).forest
    assert [tree.nodes for tree in forest.trees] == [1, 0]
    assert (scores(forest, np.array([[9.0, 3.0, 0], [0, 3.5, 0]]))[:, 0] * forest.score_scale).tolist() == [25, 26]


def test_label_and_scores_behind_other_nodes(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    after = [
        helper.make_node("Normalizer", ["scores"], ["n"], domain="ai.onnx.ml", norm="L1"),
        helper.make_node("ZipMap", ["n"], ["zipped"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]),
        helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], ["cast"], to=TensorProto.INT64),
        helper.make_node("Identity", ["label"], ["same"]),
    ]
    tree = line({0: 0.5, 1: 0.4, 2: 0.1}, {0: 0.1, 1: 0.8, 2: 0.1})
    data = model(classifier([tree], (0, 1, 2)), after=after, outputs=["same", "cast", "zipped"])
    forest = imported(data, tmp_path).forest
    assert scores(forest, np.array([[0.0, 0, 0], [1.0, 0, 0]])).argmax(axis=1).tolist() == [0, 1]
