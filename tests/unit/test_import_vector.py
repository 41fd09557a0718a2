"""Networks and trees whose outputs are numbers, and no scores of classes: results that are vectors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from guards import ENCODED, FLOW, guard
from networks import random_network
from onnxes import chain, hand_made, model, run

from ebpfnn import importers
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import ModelError
from ebpfnn.exporters import onnx, raw
from ebpfnn.importers import ImportOptions
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.network import Next
from ebpfnn.quantize import floatfile
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.quantization import quantize

RANDOM = np.random.default_rng(12)
SAMPLES = RANDOM.integers(0, 256, (400, 12)).astype(np.uint8)
SAMPLES[0], SAMPLES[1] = 0, 255
GIVEN = (SAMPLES / 255).astype(np.float32)
WEIGHTS = {
    "w": RANDOM.normal(size=(8, 12)).astype(np.float32),
    "v": (RANDOM.normal(size=(3, 8)) * [[1.0], [30.0], [0.2]]).astype(np.float32),
    "b": np.zeros(8, np.float32),
    "c": np.array([-1.0, 5.0, 0.1], np.float32),
    "one": np.ones((1, 8), np.float32),
}
LAYERS = (("Gemm", ["w", "b"], {"transB": 1}), ("Relu", [], {}), ("Gemm", ["v", "c"], {"transB": 1}))
VECTOR = ImportOptions(result="vector", labels=("x", "y", "z"))


def written(path: Path, *steps: tuple[object, ...]) -> tuple[Path, np.ndarray]:
    """A file of ``steps``, and what onnxruntime makes of the samples."""
    data = model(chain(*steps), WEIGHTS, ("n", 12))
    path.write_bytes(data)
    return path, run(data, GIVEN)


def vectors(network: QuantizedNetwork, samples: np.ndarray) -> np.ndarray:
    found: np.ndarray = reference.scores(network, samples) * network.score_scale
    return found


@pytest.mark.parametrize(
    "end", [(), (("Relu", [], {}),), (("Tanh", [], {}),), (("Sigmoid", [], {}),)], ids=lambda end: str(end)
)
def test_components_are_those_of_onnxruntime(tmp_path: Path, end: tuple[tuple[object, ...], ...]) -> None:
    path, wanted = written(tmp_path / "net.onnx", *LAYERS, *end)
    network = importers.load_float(path, VECTOR)
    assert (network.labels, network.result) == (("x", "y", "z"), "vector")
    np.testing.assert_allclose(logits(network, SAMPLES), wanted, atol=1e-4)
    integers = quantize(network, SAMPLES)
    assert (integers.labels, integers.result) == (("x", "y", "z"), "vector")
    errors = np.abs(vectors(integers, SAMPLES) - wanted).mean(axis=0)
    assert (errors < 0.03 * (wanted.max(axis=0) - wanted.min(axis=0))).all()
    floatfile.save(network, tmp_path / "net.float.safetensors")
    assert floatfile.load(tmp_path / "net.float.safetensors").result == "vector"
    modelfile.save(integers, tmp_path / "net.safetensors")
    assert modelfile.load(tmp_path / "net.safetensors").result == "vector"


def test_unless_asked_outputs_are_scores_of_classes(tmp_path: Path) -> None:
    path, _ = written(tmp_path / "net.onnx", *LAYERS)
    assert importers.load_float(path).result == "label"


def test_files_of_its_own_say_that_it_is_a_vector(tmp_path: Path) -> None:
    path, _ = written(tmp_path / "net.onnx", *LAYERS)
    made = quantize(importers.load_float(path, VECTOR), SAMPLES)
    onnx.export(made, tmp_path / "out.onnx")
    back = importers.load(tmp_path / "out.onnx")
    assert isinstance(back, QuantizedNetwork)
    assert (back.labels, back.result) == (("x", "y", "z"), "vector")
    np.testing.assert_allclose(vectors(back, SAMPLES), vectors(made, SAMPLES), atol=2 * made.score_scale)
    raw.export(made, tmp_path / "raw")
    assert raw.load(tmp_path / "raw").result == "vector"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (
            (*LAYERS, ("Softmax", [], {})),
            "ends with a softmax, which no layer computes; export the logits, or leave out --result",
        ),
        ((*LAYERS[:2], ("Gemm", ["one"], {"transB": 1})), "gives one number, which is no vector; leave out --result vector"),
    ],
)
def test_what_is_no_vector(tmp_path: Path, steps: tuple[tuple[object, ...], ...], told: str) -> None:
    path, _ = written(tmp_path / "net.onnx", *steps)
    with pytest.raises(ModelError, match=f"net.onnx: {told}"):
        importers.load(path, ImportOptions(result="vector"))


def test_zero_stands_for_zero_in_integers(tmp_path: Path) -> None:
    """Of labels, what stands for 0 in the file may be any number; 30 there."""
    random = np.random.default_rng(3)
    data = hand_made(w2=random.integers(-127, 128, (3, 4 * 28 * 28)).astype(np.int8))
    (tmp_path / "net.onnx").write_bytes(data)
    images = random.integers(0, 256, (100, 28, 28)).astype(np.uint8) >> random.integers(0, 8, (100, 1, 1)).astype(np.uint8)
    network = importers.load(tmp_path / "net.onnx", VECTOR)
    assert isinstance(network, QuantizedNetwork)
    wanted = run(data, images[:, None].astype(np.float32) / 255)
    np.testing.assert_allclose(vectors(network, images), wanted, atol=0.41)


def test_a_module() -> None:
    torch = pytest.importorskip("torch")
    from ebpfnn.network.inputformat import InputFormat

    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(12, 3), torch.nn.Sigmoid()).eval()
    network = importers.from_module(module, InputFormat((12,)), "net", ("x", "y", "z"), result="vector")
    with torch.no_grad():
        np.testing.assert_allclose(logits(network, SAMPLES), module(torch.from_numpy(GIVEN)).numpy(), atol=1e-5)


def test_a_vector_has_no_place_in_a_cascade_or_in_verdicts() -> None:
    labels, vector = random_network((9, 5, 3), seed=1), replace(random_network((9, 4, 3), seed=2), result="vector")
    for first, second in ((labels, vector), (vector, labels)):
        with pytest.raises(ModelError, match="a cascade is of networks that give labels"):
            replace(first, then=Next(second, 5))
    observing = guard(FLOW, ENCODED)
    with pytest.raises(ModelError, match="its results are vectors, and a verdict on events has one score; train it for labels"):
        replace(observing, result="vector")
    with pytest.raises(ModelError, match="a result that is a vector has two labels or more, not 1"):
        replace(random_network((9, 1), seed=2), result="vector")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verb(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_calibration_needs_no_labels(here: Path) -> None:
    path, _ = written(here / "net.onnx", *LAYERS)
    np.savez("rows.npz", samples=SAMPLES)
    done = verb("quantize", path, "--result", "vector", "--labels", "x,y,z", "--calibration", "rows.npz")
    assert done.exit_code == 0, done.output
    assert modelfile.load("net.safetensors").result == "vector"
    told = done.stdout.splitlines()
    assert "  floats and integers differ, on 400 samples, by" in told
    assert [line.split(" in ")[1].split(",")[0] for line in told if "at most in '" in line] == ["'x'", "'y'", "'z'"]
    labels = verb("quantize", path, "--output", "labels.safetensors", "--calibration", "rows.npz")
    assert labels.exit_code == 0, labels.output
    assert "floats and integers give the same label for" in labels.stdout
    assert "right:" not in labels.stdout


def test_evaluation_measures_each_component(here: Path) -> None:
    path, wanted = written(here / "net.onnx", *LAYERS)
    np.savez("rows.npz", samples=SAMPLES, targets=wanted)
    done = verb("quantize", path, "--result", "vector", "--labels", "x,y,z", "--calibration", "rows.npz")
    assert done.exit_code == 0, done.output
    network = modelfile.load("net.safetensors")
    assert isinstance(network, QuantizedNetwork)
    far = np.abs(vectors(network, SAMPLES) - wanted)
    told = verb("eval", "net.safetensors", "--data", "rows.npz", "--no-kernel")
    assert told.exit_code == 0, told.output
    lines = [line.split() for line in told.stdout.splitlines()]
    for place, name in enumerate("xyz"):
        (row,) = [line for line in lines if line[:1] == [name]]
        assert [float(each) for each in (row[1], row[3])] == pytest.approx(
            [far[:, place].mean(), far[:, place].max()], rel=1e-4
        )
    assert verb("eval", "net.safetensors", "--data", "rows.npz", "--no-kernel", "--report", "out").exit_code == 0
    page = (here / "out" / "index.html").read_text()
    assert "which gives a vector, <b>x, y, z</b>" in page
    assert page.count(f"<td>{far.max(axis=1).argmax()}</td>") == 1


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (np.zeros((400, 2)), "rows.npz: 2 targets for each sample, but the model gives 3; give as many"),
        (np.zeros(400), "rows.npz: 1 targets for each sample, but the model gives 3; give as many"),
        (np.full((400, 3), np.nan), "rows.npz: targets are not all finite; leave these samples out"),
        (np.zeros((400, 3, 1)), "give numbers [n], the target of each sample, or [n, components]"),
    ],
)
def test_targets_that_do_not_fit(here: Path, targets: np.ndarray, told: str) -> None:
    path, _ = written(here / "net.onnx", *LAYERS)
    np.savez("rows.npz", samples=SAMPLES, targets=targets)
    assert verb("quantize", path, "--result", "vector", "--calibration", "rows.npz").exit_code == 0
    done = verb("eval", "net.safetensors", "--data", "rows.npz", "--no-kernel")
    assert done.exit_code
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_columns_of_a_table_are_the_targets(here: Path) -> None:
    trees = Path(__file__).parents[1] / "data" / "trees" / "skl-vector.onnx"
    names = "abcdef"
    rows = np.random.default_rng(5).normal(0, 0.05, (50, 6)).astype(np.float32)
    wanted = run(trees.read_bytes(), rows)
    table = [
        ",".join([*names, "u", "v"]),
        *(",".join(map(repr, [*row, *more])) for row, more in zip(rows.tolist(), wanted.tolist(), strict=True)),
    ]
    Path("rows.csv").write_text("\n".join(table) + "\n")
    Path("plain.csv").write_text("\n".join(",".join(line.split(",")[:6]) for line in table) + "\n")
    done = verb("quantize", trees, "--labels", "u,v", "--calibration", "plain.csv")
    assert done.exit_code == 0, done.output
    assert "floats and integers differ, on 50 rows, by" in done.stdout
    for more in ((), ("--label", "u,v")):
        told = verb("eval", "skl-vector.safetensors", "--data", "rows.csv", "--no-kernel", *more)
        assert told.exit_code == 0, told.output
        assert float(told.stdout.splitlines()[4].split()[-1]) < 1e-3
    other = verb("eval", "skl-vector.safetensors", "--data", "rows.csv", "--no-kernel", "--label", "v,u")
    assert float(other.stdout.splitlines()[4].split()[-1]) > 10
    np.savez("rows.npz", samples=rows, targets=wanted)
    told = verb("eval", "skl-vector.safetensors", "--data", "rows.npz", "--no-kernel", "--json")
    assert json.loads(told.stdout)["reference"]["worst"] < 1e-3, told.output
    np.savez("plain.npz", samples=rows)
    told = verb("eval", "skl-vector.safetensors", "--data", "plain.npz", "--no-kernel")
    assert "plain.npz: has no array 'targets', but 'samples'" in told.stderr
    refused = verb("eval", "skl-vector.safetensors", "--data", "rows.csv", "--label", "u")
    assert "--label: 1 columns, but model 'skl-vector' gives 2 numbers; give as many, separated by commas" in refused.stderr
