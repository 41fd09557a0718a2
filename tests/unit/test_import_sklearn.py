"""Pipelines of scikit-learn as skl2onnx writes them: labels and values in integers beside onnxruntime's."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pipelines import FILES, computed, drawn, made, quantize, rows, samples

from ebpfnn.cli import quantize_rows
from ebpfnn.network import reference

SPECIES = ("setosa", "versicolor", "virginica")
CLASSIFIERS = {
    "logistic": SPECIES,
    "logistic-two": ("0", "1"),
    "mlp": SPECIES,
    "mlp-two": ("no", "yes"),
    "minmax": ("0", "1", "2"),
    "robust": ("0", "1", "2"),
    "pca": ("0", "1", "2"),
    "best": SPECIES,
    "binarizer": SPECIES,
    "svm": SPECIES,
    "svm-two": ("no", "yes"),
    "svc-two": ("no", "yes"),
    "svc-chance": ("no", "yes"),
    "frame": SPECIES,
    "branches": SPECIES,
}
REGRESSORS = {"ridge": 0.2, "linear": 0.2, "svr": 0.2, "mlp-value": 1.0}
COUNT = 5000


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_are_those_of_onnxruntime(name: str) -> None:
    done = quantize(FILES / f"{name}.onnx", "--calibration", FILES / "iris.csv")
    assert done.exit_code == 0, done.output
    network = made(f"{name}.safetensors")
    assert network.labels == CLASSIFIERS[name]
    assert network.result == "label"
    given = np.concatenate([rows("iris"), drawn(rows("iris"), COUNT)])
    wanted = [str(label) for label in computed(name, given)[0].reshape(-1)]
    found = [network.labels[label] for label in reference.labels(network, samples(network, given))]
    assert len(set(wanted)) == len(network.labels), "rows of every label"
    flipped = sum(one != other for one, other in zip(wanted, found, strict=True))
    assert flipped <= 0.005 * len(given), f"{flipped} of {len(given)}"


@pytest.mark.parametrize("name", REGRESSORS)
def test_values_are_near_those_of_onnxruntime(name: str) -> None:
    done = quantize(FILES / f"{name}.onnx", "--calibration", FILES / "diabetes.csv")
    assert done.exit_code == 0, done.output
    network = made(f"{name}.safetensors")
    assert (network.labels, network.result) == (("value",), "value")
    given = np.concatenate([rows("diabetes"), drawn(rows("diabetes"), COUNT)])
    values = reference.scores(network, samples(network, given))[:, 0] * network.score_scale
    errors = np.abs(values - computed(name, given)[0].reshape(-1))
    assert values.std() > 20
    assert errors.mean() < REGRESSORS[name]
    assert errors.max() < 12 * REGRESSORS[name]
    assert "floats and integers differ by " in done.stdout
    assert "the same label" not in done.stdout


@pytest.mark.parametrize(("name", "errors"), [("linear-vector", (0.2, 0.05)), ("mlp-vector", (1.0, 0.2))])
def test_vectors_are_near_those_of_onnxruntime(name: str, errors: tuple[float, float]) -> None:
    """It is given one row at a time: of several targets an MLPRegressor's file puts all numbers below each other."""
    done = quantize(FILES / f"{name}.onnx", "--calibration", FILES / "diabetes.csv", "--labels", "progress,s4")
    assert done.exit_code == 0, done.output
    network = made(f"{name}.safetensors")
    assert (network.labels, network.result) == (("progress", "s4"), "vector")
    given = np.concatenate([rows("diabetes"), drawn(rows("diabetes"), COUNT // 10)])
    vectors = reference.scores(network, samples(network, given)) * network.score_scale
    wanted = np.stack([computed(name, row[None])[0].reshape(-1) for row in given])
    assert (vectors.std(axis=0) > (20, 4)).all()
    assert (np.abs(vectors - wanted).mean(axis=0) < errors).all()
    assert "in 'progress', values of" in done.stdout
    assert "the same label" not in done.stdout


def test_columns_go_by_the_names_of_the_graph() -> None:
    """A table in another order, with a column more."""
    lines = (FILES / "iris.csv").read_text().splitlines()
    turned = [",".join([*reversed(line.split(",")), "9" if number else "age"]) for number, line in enumerate(lines)]
    Path("turned.csv").write_text("\n".join(turned) + "\n")
    for table, output in ((FILES / "iris.csv", "one"), (Path("turned.csv"), "other")):
        done = quantize(FILES / "frame.onnx", "--calibration", table, "--output", f"{output}.safetensors")
        assert done.exit_code == 0, done.output
        assert "right: floats 9" in done.stdout
    one, other = made("one.safetensors"), made("other.safetensors")
    assert one.input.preparation == other.input.preparation
    named = [each["name"] for each in one.input.preparation.options["columns"]]
    assert named == ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def test_inputs_of_several_types() -> None:
    """One input of two columns, and two of integers."""
    whole = rows("iris").round()
    np.savez("rows.npz", samples=whole)
    assert quantize(FILES / "whole.onnx", "--calibration", "rows.npz").exit_code == 0
    network = made("whole.safetensors")
    wanted = [str(label) for label in computed("whole", whole)[0]]
    found = [network.labels[label] for label in reference.labels(network, samples(network, whole))]
    assert found == wanted
    named = [each["name"] for each in network.input.preparation.options["columns"]]
    assert named == ["sepals0", "sepals1", "petal_length", "petal_width"]


def test_without_rows_the_scaler_tells_the_ranges() -> None:
    done = quantize(FILES / "frame.onnx")
    assert done.exit_code == 0, done.output
    assert "no --calibration given; the ranges of the columns are those of the scaler in the file" in done.stderr
    network, given = made("frame.safetensors"), rows("iris")
    spans = [(each["low"], each["high"]) for each in network.input.preparation.options["columns"]]
    mean, deviation = given.mean(axis=0, dtype=float), given.std(axis=0, dtype=float)
    np.testing.assert_allclose(spans, np.stack([mean - 5 * deviation, mean + 5 * deviation], axis=1), rtol=1e-5)
    found = [network.labels[label] for label in reference.labels(network, samples(network, given))]
    assert sum(one == str(other) for one, other in zip(found, computed("frame", given)[0], strict=True)) >= 149


def test_the_worst_flips_are_listed_and_the_others_counted() -> None:
    """Weights of 3 bits, so that many labels flip."""
    done = quantize(FILES / "mlp.onnx", "--calibration", FILES / "iris.csv", "--weight-bits", "3", "--hidden-bits", "3")
    assert done.exit_code == 0, done.output
    near = done.stdout.split("rows drawn around them\n")[1].splitlines()
    leads = [float(line.split("a lead of ")[1].split()[0]) for line in near[:5]]
    assert all(line.startswith("    near row ") for line in near[:5])
    assert leads == sorted(leads, reverse=True)
    count = int(near[5].split("and ")[1].split(" more, with smaller leads")[0].replace(",", ""))
    same = int(done.stdout.split("rows drawn around them")[0].rsplit("label for ", 1)[1].split(" of ")[0].replace(",", ""))
    assert same + 5 + count == 4850


@pytest.mark.parametrize("count", [1, 4])
def test_bytes_of_a_column(count: int) -> None:
    done = quantize(FILES / "logistic.onnx", "--calibration", FILES / "iris.csv", "--column-bytes", str(count))
    assert done.exit_code == 0, done.output
    assert made("logistic.safetensors").input.shape == (4 * count,)


def test_rows_are_named_by_their_numbers_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 150 rows three are compared: 1, 51 and 101, of one species each."""
    monkeypatch.setattr(quantize_rows, "_COMPARED", 3)
    monkeypatch.setattr(reference, "labels", lambda network, samples: np.zeros(len(samples), np.intp))
    done = quantize(FILES / "logistic.onnx", "--calibration", FILES / "iris.csv")
    assert done.exit_code == 0, done.output
    assert "the same label for 1 of 3 rows\n" in done.stdout
    assert sorted(set(re.findall(r" (row \d+): ", done.stdout))) == ["row 101", "row 51"]
