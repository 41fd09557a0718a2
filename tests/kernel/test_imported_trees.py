"""Trees of ONNX files in the kernel: rows at the bounds give the label that onnxruntime gives in floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ebpfnn_plugins.run import RunTrigger
from onnxes import session

from ebpfnn import importers
from ebpfnn.importers import Ensemble
from ebpfnn.preparation import Values
from ebpfnn.preparation.columns import preparer, read
from ebpfnn.session import Session

pytestmark = pytest.mark.root
pytest.importorskip("onnx")
HERE = Path(__file__).parents[1] / "data" / "trees"


@pytest.mark.parametrize("name", ["skl-scaled", "lgb-3", "xgb-2"])
def test_labels_of_the_kernel_are_those_of_the_floats(name: str) -> None:
    path = HERE / f"{name}.onnx"
    found = importers.read(path)
    assert isinstance(found, Ensemble)
    forest = found.forest
    random = np.random.default_rng(7)
    bounds = [each["bounds"] or [0.0] for each in forest.input.preparation.options["columns"]]
    rows = np.stack([random.choice(np.concatenate([each, np.nextafter(each, -np.inf)]), 500) for each in bounds], axis=1)
    prepare = preparer(read(forest.input.preparation.options))
    with Session(forest, RunTrigger()) as running:
        answers = running.infer_many(np.stack([prepare(Values(row)) for row in rows]))
    floats = session(path.read_bytes())
    expected = [str(label) for label in floats.run(None, {floats.get_inputs()[0].name: rows.astype(np.float32)})[0]]
    assert [forest.labels[place] for place in answers.labels] == expected
    assert len(set(expected)) == len(forest.labels)
