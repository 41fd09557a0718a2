"""Pipelines of scikit-learn as skl2onnx writes them: labels and values in integers beside onnxruntime's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pipelines import FILES, computed, drawn, made, quantize, rows, samples

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
