"""``ebpfnn quantize`` of trees: a file, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from treefiles import Split, classifier, model, regressor

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.trees import Forest

pytest.importorskip("onnx")
TREE = Split(0, "<=", 0.5, {0: 0.0}, Split(2, "<", 7.0, {0: 1.0}, {0: 0.25}))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def quantize(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["quantize", *arguments])


def test_nothing_is_calibrated() -> None:
    Path("guard.onnx").write_bytes(model(classifier([TREE, TREE], ("good", "bad"))))
    done = quantize("guard.onnx")
    assert done.exit_code == 0, done.output
    forest = modelfile.load("guard.safetensors")
    assert isinstance(forest, Forest)
    size = Path("guard.safetensors").stat().st_size
    lines = done.output[done.output.index("guard.safetensors") :].splitlines()
    assert lines[0] == f"guard.safetensors: guard, forest:2x2, {size:,} bytes"
    assert "  columns: 3, 1 of them unused; 2 thresholds, at most 1 in one" in lines
    assert "  sample: 3 bytes" in lines
    assert "  trees: 2, with 4 comparisons, at most 2 one after another" in lines
    assert forest.labels == ("good", "bad")


def test_rows_name_the_columns_and_are_compared() -> None:
    Path("guard.onnx").write_bytes(model(classifier([TREE], ("good", "bad"))))
    Path("rows.csv").write_text("size,age,port,class\n0.5,1,1,good\n0.75,1,1,bad\n0.75,1,9,bad\n")
    done = quantize("guard.onnx", "--calibration", "rows.csv", "--output", "out.safetensors", "--name", "mine")
    assert done.exit_code == 0, done.output
    forest = modelfile.load("out.safetensors")
    assert forest.name == "mine"
    assert [each["name"] for each in forest.input.preparation.options["columns"]] == ["size", "age", "port"]
    assert "On 3 rows of rows.csv:" in done.output
    assert "floats and integers give the same label for 3 of 3 rows" in done.output
    assert "right: floats 66.67%, integers 66.67%" in done.output


def test_rows_of_a_value() -> None:
    Path("price.onnx").write_bytes(model(regressor([TREE])))
    Path("rows.csv").write_text("size,age,port\n0.5,1,1\n0.75,1,1\n0.75,1,9\n")
    done = quantize("price.onnx", "--calibration", "rows.csv")
    assert done.exit_code == 0, done.output
    assert "floats and integers differ by 0 on average, by 0 at most" in done.output
    assert "values are in 0 to 1" in done.output


def test_rows_whose_labels_differ_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves in whole units: what leads by less than one is lost."""
    monkeypatch.setattr("ebpfnn.trees.fixedpoint._unit", lambda largest, terms: 1.0)
    tree = Split(0, "<=", 0.0, {0: 0.3, 1: 0.1, 2: 0.4}, {0: 3.0, 1: 9.0, 2: 4.0})
    Path("three.onnx").write_bytes(model(classifier([tree], ("a", "b", "c"))))
    Path("rows.csv").write_text("x,y,z\n1,0,0\n-1,0,0\n")
    done = quantize("three.onnx", "--calibration", "rows.csv")
    assert done.exit_code == 0, done.output
    assert "floats and integers give the same label for 1 of 2 rows" in done.output
    assert "row 2: floats 'c', integers 'a'; a lead of 0.1 in floats" in done.output


def test_rows_that_are_close_are_listed() -> None:
    """A tie of three classes, and a lead of less than float32 can add: 0.1 and the next float32."""
    above = float(np.nextafter(np.float32(0.1), np.float32(1)))
    inner = Split(1, "<=", 0.0, {0: 0.1, 1: 0.1, 2: 0.1}, {0: 0.1, 1: above, 2: 0.0})
    Path("three.onnx").write_bytes(model(classifier([Split(0, "<=", 0.0, {0: 0.1, 1: 0.2, 2: 0.9}, inner)], ("a", "b", "c"))))
    Path("rows.csv").write_text("x,y,z\n-1,0,0\n1,0,0\n1,1,0\n")
    done = quantize("three.onnx", "--calibration", "rows.csv")
    assert done.exit_code == 0, done.output
    assert "2 of them are so close that sums in float32" in done.output
    assert "row 2: 'a' before 'b'; a lead of 0 in floats" in done.output
    assert "row 3: 'b' before 'a'; a lead of 7.45e-09 in floats" in done.output


@pytest.mark.parametrize(
    "option", [("--mean", "0.5"), ("--hidden-bits", "4"), ("--weight-bits", "2"), ("--column-bytes", "4"), ("--prepare", "raw")]
)
def test_options_of_networks_are_refused(option: tuple[str, str]) -> None:
    Path("price.onnx").write_bytes(model(regressor([TREE])))
    done = quantize("price.onnx", *option)
    assert done.exit_code == 2
    assert "are for networks" in done.output
    assert not Path("price.safetensors").exists()


def test_rows_of_another_number_of_columns() -> None:
    Path("price.onnx").write_bytes(model(regressor([TREE])))
    Path("rows.csv").write_text("a,b\n1,2\n")
    done = quantize("price.onnx", "--calibration", "rows.csv")
    assert done.exit_code == 1
    assert "rows.csv: has 2 columns, but the network takes 3" in done.output
    assert not Path("price.safetensors").exists()
