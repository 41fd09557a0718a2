"""Trees from ONNX that are refused: each in one line that names the node, the fact and a remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from treefiles import Split, attributes, classifier, model, regressor

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers import ImportOptions, onnx_wire
from ebpfnn.trees import Forest

pytest.importorskip("onnx")
PLAIN = Split(0, "<=", 0.5, {0: 1.0}, Split(1, "<", 0.25, {0: 2.0}, {0: 3.0}))
INF = float("inf")


def refusal(data: bytes, tmp_path: Path, **options: Any) -> str:
    path = tmp_path / "trees.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        importers.load(path, ImportOptions(**options))
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "; " in text
    return text


def changed(name: str, place: int, value: Any) -> Any:
    """The lists of a plain tree with one entry changed."""
    own = attributes([PLAIN])
    own[name][place] = value
    return regressor([], **own)


def longer(name: str) -> Any:
    own = attributes([PLAIN])
    own[name].append(own[name][-1])
    return regressor([], **own)


def two(*leaves: dict[int, float], **more: Any) -> Any:
    return classifier([Split(0, "<=", 0.0, *leaves)], ("a", "b"), **more)


def chain(depth: int) -> Split:
    """A tree of ``depth`` comparisons one after another, written without recursion."""
    found = Split(0, "<=", 0.0, {0: 1.0}, {0: 2.0})
    for place in range(1, depth):
        found = Split(0, "<=", -float(place), {0: float(place)}, found)
    return found


TREES: Mapping[str, tuple[Callable[[], Any], str]] = {
    "equality": (lambda: regressor([Split(0, "==", 1.0, {0: 1.0}, {0: 2.0})]), "node 0 of tree 3 compares for equality"),
    "inequality": (lambda: regressor([Split(0, "!=", 1.0, {0: 1.0}, {0: 2.0})]), "compares for equality, 'BRANCH_NEQ'"),
    "a mode": (lambda: changed("nodes_modes", 0, "BRANCH_SOME"), "mode that is not known, 'BRANCH_SOME'"),
    "a set": (lambda: changed("nodes_modes", 0, "BRANCH_MEMBER"), "splits by sets"),
    "NaN": (lambda: changed("nodes_values", 0, float("nan")), "thresholds that are not finite"),
    "an infinite threshold": (lambda: changed("nodes_values", 2, INF), "thresholds that are not finite"),
    "an infinite leaf": (lambda: changed("target_weights", 1, INF), "weights that are not finite"),
    "an infinite base": (lambda: regressor([PLAIN], base_values=[INF]), "base values that are not finite"),
    "two bases": (lambda: regressor([PLAIN], base_values=[1.0, 2.0]), "has 2 base values; only 0 or 1"),
    "a child that is not there": (lambda: changed("nodes_truenodeids", 0, 99), "node 99 of tree 3, that is not there"),
    "a negative child": (lambda: changed("nodes_falsenodeids", 0, -1), "node -1 of tree 3, that is not there"),
    "a child of 2^40": (lambda: changed("nodes_falsenodeids", 0, 1 << 40), "that is not there"),
    "a weight at no node": (lambda: changed("target_nodeids", 0, 50), "a weight at a leaf, node 50 of tree 3"),
    "a weight at a branch": (lambda: changed("target_nodeids", 0, 0), "weights at nodes that are no leaves"),
    "a weight of no tree": (lambda: changed("target_treeids", 0, 9), "weights of tree [9], which has no nodes"),
    "a shared child": (lambda: changed("nodes_falsenodeids", 2, 1), "is the child of 2; only trees"),
    "a child twice": (lambda: changed("nodes_falsenodeids", 0, 1), "is the child of 2"),
    "a circle with its root": (lambda: changed("nodes_truenodeids", 0, 0), "tree 3"),
    "a node twice": (lambda: changed("nodes_nodeids", 1, 0), "node 0 of tree 3 is there twice"),
    "a negative id": (lambda: changed("nodes_nodeids", 1, -4), "node ids that are negative"),
    "a column too far": (lambda: changed("nodes_featureids", 0, 3), "compare column 3, counted from 0, of 3"),
    "a negative column": (lambda: changed("nodes_featureids", 0, -1), "of 3"),
    "a target too far": (lambda: changed("target_ids", 0, 1), "weights of outputs 0 to 1, and 1 outputs"),
    "65 targets": (lambda: regressor([PLAIN], n_targets=65), "gives 65 values; 1 to 64 are taken"),
    "no targets": (lambda: regressor([PLAIN], n_targets=0), "gives 0 values; 1 to 64 are taken"),
    "the least": (lambda: regressor([PLAIN], aggregate_function="MIN"), "takes the MIN of its trees"),
    "a logistic value": (lambda: regressor([PLAIN], post_transform="LOGISTIC"), "ends with LOGISTIC"),
    "257 deep": (lambda: regressor([chain(257)]), "tree 3 is over 256 comparisons deep; train it with a max_depth"),
    "4,097 trees": (lambda: regressor([{0: 1.0}] * 4097), "has 4097 trees; at most 4096"),
    "65 labels": (lambda: classifier([{0: 1.0}], list(range(65))), "has 65 labels; 2 to 64"),
    "one label": (lambda: classifier([{0: 1.0}], ["a"]), "has 1 labels"),
    "a class without weights": (lambda: classifier([{0: 1.0, 2: 0.5}], list("abc")), "no weights of class 1, 'b'"),
    "a class too far": (lambda: classifier([{0: 1.0, 3: 0.5}], list("abc")), "weights of outputs 0 to 3, and 3 outputs"),
    "no printable label": (lambda: classifier([{0: 1.0}], ["a", "b\n"]), "label 'b\\n' cannot be shown; give --labels"),
    "weights of both of two": (lambda: two({0: 0.7, 1: 0.3}, {0: 0.2, 1: 0.8}), "weights of both of two classes"),
    "a base of the second": (lambda: two({1: 0.7}, {1: 0.2}, base_values=[0.1]), "has 1 base values; only 0"),
    "two bases of one score": (lambda: two({0: 0.7}, {0: 0.2}, base_values=[0.1, 0.2]), "has 2 base values; only 0 or 1"),
    "some weights only": (
        lambda: classifier([Split(0, "<", 0.0, {0: -1.0}, {1: -2.0, 2: -3.0})], list("abc")),
        "has no weight of class 0 in some leaves of every tree",
    ),
    "an unknown end": (lambda: two({0: 0.7}, {0: 0.2}, post_transform="SQRT"), "ends with 'SQRT', which is not known"),
    **{
        f"more {name}": (
            lambda name=name: longer(name),
            "entries; export it again" if "target" in name else f"has 5 nodes but 6 {name}",
        )
        for name in ("nodes_treeids", "nodes_featureids", "nodes_modes", "nodes_values", "nodes_truenodeids", "target_ids")
    },
}


@pytest.mark.parametrize("name", TREES)
def test_nodes_that_are_refused(name: str, tmp_path: Path) -> None:
    make, fact = TREES[name]
    assert fact in refusal(model(make()), tmp_path)


def test_missing_values_in_branches_are_told(tmp_path: Path) -> None:
    """A row has no missing value, so these are never taken."""
    path = tmp_path / "trees.onnx"
    path.write_bytes(model(changed("nodes_missing_value_tracks_true", 0, 1)))
    found = importers.load(path)
    assert isinstance(found, Forest)
    assert found.card["import"] == "rows with missing values are refused; the trees have branches for them"


def before(kind: str, inputs: list[str], domain: str = "", **more: Any) -> Callable[[], Any]:
    def make() -> Any:
        from onnx import helper

        return helper.make_node(kind, inputs, ["r"], "the step", domain=domain, **more)

    return make


ML = "ai.onnx.ml"
STEPS: Mapping[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "Imputer": (before("Imputer", ["x"], ML, imputed_value_floats=[0.0]), {}, "fills in missing values"),
    "Normalizer": (before("Normalizer", ["x"], ML), {}, "divides each row by its norm"),
    "PCA": (before("MatMul", ["x", "c"]), {"c": np.eye(3, dtype=np.float32)}, "mixes columns, as a PCA does"),
    "a logarithm": (before("Log", ["x"]), {}, "is no operation on single columns"),
    "a scale of 0": (before("Scaler", ["x"], ML, offset=[0.0], scale=[0.0]), {}, "multiplies a column by 0"),
    "a scale of NaN": (before("Scaler", ["x"], ML, offset=[0.0], scale=[INF]), {}, "constants that are not finite"),
    "two scales": (before("Scaler", ["x"], ML, offset=[0.0] * 2, scale=[1.0] * 2), {}, "has 2 numbers for 3 columns"),
    "a product with 0": (before("Mul", ["x", "c"]), {"c": np.float32([1, 0, 1])}, "by 0; leave the column out"),
    "a quotient": (before("Div", ["c", "x"]), {"c": np.float32(1)}, "divides by its columns"),
    "columns beyond": (before("ArrayFeatureExtractor", ["x", "c"], ML), {"c": np.array([0, 3])}, "that the 3 of its input"),
    "rows": (before("Gather", ["x", "c"], axis=0), {"c": np.array([0, 1])}, "gathers rows"),
    "a cast to integers": (before("Cast", ["x"], to=7), {}, "casts float32 to int64"),
    "a limit of infinity": (before("Clip", ["x", "c"]), {"c": np.float32(INF)}, "limits that are not finite"),
    "another domain": (before("Identity", ["x"], "com.microsoft"), {}, "is of the domain 'com.microsoft'"),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_that_are_refused(name: str, tmp_path: Path) -> None:
    make, constants, fact = STEPS[name]
    assert fact in refusal(model(regressor([PLAIN]), [make()], constants=constants), tmp_path)


def test_pipelines_that_are_too_long(tmp_path: Path) -> None:
    from onnx import helper

    names = ["x", *(f"t{place}" for place in range(64)), "r"]
    long = [helper.make_node("Add", [one, "c"], [other]) for one, other in pairwise(names)]
    found = refusal(model(regressor([PLAIN]), long, constants={"c": np.float32(1)}), tmp_path)
    assert "is step 65 of a column, over 64" in found
    joined = helper.make_node("Concat", ["x"] * 30_000, ["r"], axis=1)
    assert "makes 90000 columns, over 65536" in refusal(model(regressor([PLAIN]), [joined]), tmp_path)
    wide = [helper.make_node("Concat", ["x"] * 20_000, [f"t{place}"], axis=1) for place in range(20)]
    assert "over 1048576 in all" in refusal(
        model(regressor([PLAIN]), [*wide, helper.make_node("Identity", ["x"], ["r"])]), tmp_path
    )
    assert "takes over 65536 columns" in refusal(model(regressor([PLAIN]), columns=70_000), tmp_path)


def test_ends_that_are_refused(tmp_path: Path) -> None:
    from onnx import helper

    def after(kind: str, given: str, **more: Any) -> list[Any]:
        return [helper.make_node(kind, [given], ["end"], **more)]

    plain = two({0: 0.7}, {0: 0.2})
    assert "computes with what the trees give" in refusal(
        model(regressor([PLAIN]), after=after("Exp", "value"), outputs=["end"]), tmp_path
    )
    assert "compares rows" in refusal(model(plain, after=after("ArgMax", "scores", axis=0), outputs=["end"]), tmp_path)
    three = classifier([Split(0, "<=", 0.0, {0: -1.0, 1: -2.0, 2: -3.0}, {0: 1.5, 1: 1.25, 2: 0.0})], [0, 1, 2])
    for kind, more, fact in (
        ("Cast", {"to": 7}, "rounds what the trees give"),
        ("Normalizer", {"domain": ML}, "divides by the highest score"),
        ("ArgMax", {"axis": 1, "select_last_index": 1}, "takes the last of equal scores"),
    ):
        assert fact in refusal(model(three, after=after(kind, "scores", **more), outputs=["end"]), tmp_path)
    assert "output 'r' is not made of what the trees give" in refusal(model(plain, outputs=["label", "r"]), tmp_path)
    second = model(
        regressor([PLAIN]), after=[helper.make_node("TreeEnsembleRegressor", ["r"], ["end"], domain=ML, **attributes([PLAIN]))]
    )
    assert "is a second ensemble of trees" in refusal(second, tmp_path)
    probit = model(two({0: 0.7}, {0: 0.2}, post_transform="PROBIT"), after=after("ArgMax", "scores", axis=1), outputs=["end"])
    assert "ends with PROBIT, and an ArgMax takes that" in refusal(probit, tmp_path)


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    data = model(regressor([PLAIN]))
    assert "samples are bytes of columns" in refusal(data, tmp_path, bits=1, thresholds=(1,))
    assert "takes 3 columns, and 1 are named" in refusal(data, tmp_path, columns=("a",))
    assert "has 1 outputs but there are 2 labels" in refusal(data, tmp_path, labels=("a", "b"))


@pytest.mark.parametrize("kind", ["FLOAT16", "STRING", "UINT8", "BOOL"])
def test_inputs_of_other_types(kind: str, tmp_path: Path) -> None:
    assert "export trees over float, double, int32 or int64" in refusal(model(regressor([PLAIN]), kind=kind), tmp_path)


@pytest.mark.parametrize("suffix", [".joblib", ".pkl", ".pickle"])
def test_pickles_are_not_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(
        ModelError, match=r"would run code of its own to be read; .*from skl2onnx import to_onnx; .*SerializeToString"
    ):
        importers.load(path)


def test_numbers_are_counted_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed or one by one, of one byte or of ten: a file may have as many as the limit, and no more."""
    from onnx import AttributeProto, ModelProto

    numbers = [0, 1, 127, 128, -1, 1 << 62] * 1000
    made = ModelProto.FromString(model(regressor([PLAIN])))
    extra = made.graph.node[-1].attribute.add(name="nodes_hitrates", type=AttributeProto.FLOATS)
    extra.floats.extend([0.5] * 5000)
    extra.ints.extend(numbers)
    others = sum(len(each.ints) + len(each.floats) for each in made.graph.node[-1].attribute) - len(numbers) - 5000
    data = made.SerializeToString()
    for limit, passes in ((len(numbers) + 5000 + others, True), (len(numbers) + 4000, False)):
        monkeypatch.setattr("ebpfnn.importers.onnx_wire.LARGEST", limit)
        if passes:
            onnx_wire.check(data, ModelProto.DESCRIPTOR)
        else:
            with pytest.raises(ModelError, match="numbers one by one"):
                onnx_wire.check(data, ModelProto.DESCRIPTOR)


def test_more_thresholds_in_all_than_a_preparation_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpfnn.network.preparation.MOST_BYTES", 100)
    assert "has 2 thresholds, over the 2 MiB of JSON that a preparation holds; train" in refusal(
        model(regressor([PLAIN])), tmp_path
    )


def test_more_thresholds_than_a_column_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpfnn.importers.ensembles.WIDEST", 1)
    tree = Split(0, "<=", 0.5, {0: 1.0}, Split(0, "<", 0.25, {0: 2.0}, {0: 3.0}))
    assert "column 'x0' has 2 thresholds, over 1; train fewer trees" in refusal(model(regressor([tree])), tmp_path)
