"""Trees by ``ebpfnn train``: integers that label as scikit-learn does, from samples in bytes, and options that fit them."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import InputError, ModelError, NotSupported
from ebpfnn.network.preparation import Preparation
from ebpfnn.plugin import Plugins
from ebpfnn.training import Distortion, Options, Precision, Teaching, train
from ebpfnn.training.cuts import finest
from ebpfnn.training.data import Data, Part
from ebpfnn.training.ensembles import check, parse
from ebpfnn.trees import Forest, reference

pytest.importorskip("sklearn")

ARCHITECTURES = ("tree:6", "forest:7x5", "boost:6x3")


def part(count: int, classes: int, seed: int, shape: tuple[int, ...] = (9,)) -> Part:
    """Values of every byte, whose sums tell the class, with one in eight wrong."""
    random = np.random.default_rng(seed)
    samples = random.integers(0, 256, (count, *shape)).astype(np.uint8)
    rows = samples.reshape(count, -1).astype(int)
    labels = (rows[:, 0] + rows[:, 1] * (rows[:, 2] > 99)) * classes // 511
    return Part(samples, np.where(random.random(count) < 1 / 8, random.integers(0, classes, count), labels).astype(np.intp))


def data(classes: int, shape: tuple[int, ...] = (9,), count: int = 900) -> Data:
    parts = [part(count, classes, seed, shape) for seed in (1, 2, 3)]
    return Data(parts[0], parts[1], parts[2], tuple(f"c{n}" for n in range(classes)), Preparation("raw"))


def options(tmp_path: Path, architecture: str, **given: Any) -> Options:
    return Options(tmp_path / "made.safetensors", **{"architecture": architecture, "name": "made", **given})


def trained(given: Options, learned: Data) -> tuple[Forest, Any]:
    """The forest, and the estimator that it was made of: one seed grows one estimator."""
    from ebpfnn.training import growing, treerun
    from ebpfnn.training.class_weights import class_weights

    weights = class_weights(given.class_weights, learned.training.labels, learned.names)
    grown = growing.grow(given, check(given), learned.training, weights)
    return treerun.trained(given, check(given), learned), grown.estimator


def raw_scores(estimator: Any, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not hasattr(estimator, "decision_function"):
        return np.asarray(estimator.predict_proba(rows))
    found = np.asarray(estimator.decision_function(rows))
    return np.stack([np.zeros(len(rows)), found], axis=1) if found.ndim == 1 else found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("given", [{}, {"class_weights": "balanced", "leaf_rows": 3, "seed": 9}])
def test_labels_are_those_of_scikit_learn(tmp_path: Path, architecture: str, classes: int, given: dict[str, Any]) -> None:
    forest, estimator = trained(options(tmp_path, architecture, **given), learned := data(classes))
    rows = np.concatenate([learned.training.samples, learned.test.samples, part(9_000, classes, 4).samples])
    corners = np.array([np.zeros(9), np.full(9, 255), np.arange(9), *np.eye(9) * 255]).astype(np.uint8)
    rows = np.concatenate([rows, corners])
    expected, scores = raw_scores(estimator, rows), reference.scores(forest, rows)
    assert np.abs(scores * forest.score_scale - expected).max() <= forest.tolerance + 1e-12
    best = np.sort(expected, axis=1)
    sure = best[:, -1] - best[:, -2] > 2 * forest.tolerance + 1e-12
    assert sure.mean() > 0.95
    assert (scores.argmax(axis=1) == estimator.predict(rows))[sure].all()
    assert 0 <= forest.tolerance < 1e-6
    assert {int(tree.thresholds.min()) > 0 for tree in forest.trees if tree.nodes} == {True}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_trees_are_as_many_and_as_deep_as_asked(tmp_path: Path, architecture: str) -> None:
    asked = parse(architecture)
    for classes in (2, 3):
        forest, _ = trained(options(tmp_path, architecture), data(classes))
        assert len(forest.trees) == asked.trees * (3 if asked.kind == "boost" and classes == 3 else 1)
        assert forest.depth == asked.depth
        assert forest.card["architecture"] == architecture


def test_pictures_are_learned_as_they_are(tmp_path: Path) -> None:
    forest, _ = trained(options(tmp_path, "forest:3x4"), learned := data(3, (3, 4)))
    assert forest.input_shape == (3, 4)
    assert reference.labels(forest, learned.test.samples).shape == (900,)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_class_without_samples_is_never_the_label(tmp_path: Path, architecture: str) -> None:
    for classes, missing in ((3, 1), (3, 0), (4, 3)):
        learned = data(classes)
        kept = learned.training.labels != missing
        learned = replace(learned, training=Part(learned.training.samples[kept], learned.training.labels[kept]))
        forest, estimator = trained(options(tmp_path, architecture), learned)
        found = reference.labels(forest, learned.test.samples)
        assert missing not in found
        assert (found == estimator.predict(learned.test.samples)).mean() > 0.95


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_seed_makes_one_file(tmp_path: Path, architecture: str) -> None:
    source = save(tmp_path)
    first, again, threads, other = (
        train(options(tmp_path, architecture, data=source, **given)).read_bytes()
        for given in ({}, {}, {"threads": 1}, {"seed": 2})
    )
    assert first == again == threads
    assert first != other


def save(tmp_path: Path) -> Path:
    found = part(700, 3, 5)
    np.savez(tmp_path / "own.npz", samples=found.samples, labels=found.labels)
    return tmp_path / "own.npz"


def table(tmp_path: Path, **more: Any) -> Path:
    random = np.random.default_rng(6)
    size, port = random.integers(0, 1 << 40, 3000), random.integers(0, 1 << 16, 3000)
    label = np.where((size > 1 << 38) ^ (port > 20_000), "attack", "benign")
    np.savez(tmp_path / "rows.npz", size=size, port=port, label=label, **more)
    return tmp_path / "rows.npz"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_table_is_learned_without_pytorch(tmp_path: Path, architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    forest = modelfile.load(train(options(tmp_path, architecture, data=table(tmp_path))))
    assert isinstance(forest, Forest)
    assert re.fullmatch(r"size \(bins 2\d\d\), port \(bins 2\d\d\)", forest.card["columns"])
    assert forest.labels == ("attack", "benign")
    assert float(forest.card["integer accuracy"].partition("%")[0]) > 97
    assert forest.card["integer accuracy"] == forest.card["float accuracy"]
    sample = Plugins.installed().wanted(forest.input).one
    from ebpfnn.preparation import Row

    for row, label in (({"size": 1 << 39, "port": 5}, 0), ({"size": 5, "port": 5}, 1), ({"size": 5, "port": 1 << 15}, 0)):
        assert reference.labels(forest, sample(Row(row))) == label


def test_without_scikit_learn_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(NotSupported, match=r"trees are trained by scikit-learn, which is not installed; pip install 'ebpfnn\["):
        train(options(tmp_path, "tree:3", data=save(tmp_path)))


@pytest.mark.parametrize(
    "text", ["tree", "tree:", "tree:3x4", "forest:8", "boost:8", "tree:0", "forest:0x3", "tree:65", "forest:5000x2", "tree:-1"]
)
def test_architectures_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelError, match=r"; give (one such as tree:8|such numbers)"):
        train(options(tmp_path, text, data=save(tmp_path)))


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("epochs", {"epochs": 3}),
    ("batch-size", {"batch_size": 3}),
    ("optimizer", {"optimizer": "sgd"}),
    ("schedule", {"schedule": "constant"}),
    ("learning-rate", {"learning_rate": 0.1}),
    ("weight-decay", {"weight_decay": 0.1}),
    ("dropout", {"dropout": 0.1}),
    ("slope", {"slope": 0.0}),
    ("views", {"views": 2}),
    ("module", {"module": "x.py:y"}),
    ("device", {"device": "cuda"}),
    ("resume", {"resume": True}),
    ("teacher", {"teaching": Teaching(Path("x"))}),
    ("rotation", {"distortion": Distortion(rotation=3)}),
    ("mirror", {"distortion": Distortion(mirror=True)}),
    ("bits", {"precision": Precision(input_bits=4)}),
    ("threshold", {"precision": Precision(thresholds=(1,))}),
    ("packed", {"precision": Precision(packed=True)}),
    ("bit-order", {"precision": Precision(bit_order="little")}),
    ("aware", {"precision": Precision(aware=True)}),
    ("hidden-bits", {"precision": Precision(aware=True, hidden_bits=4)}),
    ("trim-idle", {"precision": Precision(idle=0.1)}),
    ("shared-steps", {"precision": Precision(shared_steps=True)}),
]


@pytest.mark.parametrize(("name", "given"), REFUSED, ids=[name for name, _ in REFUSED])
def test_options_of_networks_are_refused(tmp_path: Path, name: str, given: dict[str, Any]) -> None:
    said = "aware" if name == "hidden-bits" else name
    with pytest.raises(ModelError) as refused:
        train(options(tmp_path, "tree:3", data=save(tmp_path), **given))
    assert said in str(refused.value) or "hidden-bits" in str(refused.value)
    assert str(refused.value).endswith("trees, 'tree:3', have no use for it; leave it out")
    assert not (tmp_path / "made.safetensors").exists()


def test_a_thermometer_is_refused_with_a_remedy_for_trees(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="thermometer and 8 bits an input value; trees take a byte a column; give bins"):
        train(options(tmp_path, "tree:3", data=table(tmp_path), encode="thermometer"))


def test_options_that_change_nothing_are_taken(tmp_path: Path) -> None:
    given = options(tmp_path, "boost:2x2", data=save(tmp_path), distortion=None, device="cpu", learning_rate=0.5)
    assert "rate 0.5" in modelfile.load(train(given)).card["recipe"]


def test_leaves_have_as_many_samples_as_asked(tmp_path: Path) -> None:
    learned = data(3)
    forest, _ = trained(options(tmp_path, "tree:12", leaf_rows=40), learned)
    rows = reference.reached(forest.trees[0], learned.training.samples)
    assert np.bincount(rows).min() >= 40
    with pytest.raises(ModelError, match="--leaf-rows: the network has no trees; give --arch, such as tree:8"):
        options(tmp_path, "9-3", leaf_rows=40)


def test_data_of_one_class_and_too_many_trees_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", samples=np.zeros((50, 3), np.uint8), labels=np.zeros(50, np.int64))
    with pytest.raises(InputError, match="all samples to learn from are of class '0'; give samples of another class too"):
        train(options(tmp_path, "tree:3", data=tmp_path / "one.npz"))
    with pytest.raises(
        ModelError, match=r"1,500 rounds of 3 trees are 4,500, and a forest has at most 4,096; give 1365 rounds"
    ):
        train(options(tmp_path, "boost:1500x3", data=save(tmp_path)))


def test_few_values_lose_nothing() -> None:
    values = np.repeat(np.arange(0, 512, 2), 3)
    labels = np.zeros(len(values), np.intp)
    assert finest(values, labels, 255) == list(range(1, 511, 2))
    assert finest(np.array([5, 5, 9]), labels[:3], 255) == [7]


def test_many_values_have_bounds_by_labels_and_by_quantiles() -> None:
    random = np.random.default_rng(0)
    values = np.sort(random.lognormal(0, 3, 5_000))
    labels = (values > values[777]).astype(np.intp)
    found = finest(values, labels, 255)
    assert len(found) <= 255
    assert found == sorted(set(found))
    assert any(values[777] < bound <= values[778] for bound in found)  # where labels part
    counts = np.diff(np.searchsorted(values, found, side="left"))
    assert counts.max() <= 2 * 5_000 / 254 + 1  # the rest by rows, however far apart they lie


def test_the_verb_prints_the_card(tmp_path: Path) -> None:
    made = tmp_path / "made.safetensors"
    arguments = ["train", "--data", str(table(tmp_path)), "--arch", "forest:3x4", "--leaf-rows", "2", "--output", str(made)]
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 0, ran.output
    assert "architecture: forest:3x4" in ran.output
    assert "random forest, 2 or more samples a leaf" in ran.output
    refused = CliRunner().invoke(main, [*arguments, "--epochs", "3"])
    assert refused.exit_code == 1
    assert "--epochs: trees, 'forest:3x4', have no use for it; leave it out" in refused.output
