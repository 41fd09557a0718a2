"""Pipelines and rows that cannot be imported: one line each, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pipelines import FILES, quantize

IRIS = FILES / "iris.csv"
HEADER = "a,b,c,d\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(name: str, *arguments: str | Path) -> str:
    done = quantize(FILES / f"{name}.onnx", *arguments)
    assert done.exit_code != 0
    assert done.stdout == ""
    assert not list(Path().glob("*.safetensors"))
    *before, told = done.stderr.splitlines()
    assert not before
    assert told.startswith("ebpfnn: ")
    return str(told)


@pytest.mark.parametrize(
    ("name", "told"),
    {
        "imputer": "(Imputer), fills in missing values, but a row without a value has no sample; export the pipeline without",
        "normalizer": "(Normalizer), divides each row by its norm, which no layer can; normalize rows before they are given",
        "svc-rbf": "has a kernel of type RBF; only linear ones can be imported, so use LinearSVC or LogisticRegression",
        "svc-three": "lets pairs of 3 classes vote, which cannot be imported; use LinearSVC or LogisticRegression",
    }.items(),
)
def test_operators(name: str, told: str) -> None:
    assert told in refused(name, "--calibration", IRIS)


@pytest.mark.parametrize("name", ["minmax", "linear", "best"])
def test_without_rows_a_scaler_must_tell_the_ranges(name: str) -> None:
    assert "nothing in it tells the range of its 4 columns; give --calibration rows, a table of the" in refused(name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b,c\n1,2,3\n", "rows.csv: has 3 columns, but the network takes 4; give these in their order, and at most one of"),
        ("a,b,c,d,e,f\n1,2,3,4,5,6\n", "rows.csv: has 6 columns, but the network takes 4"),
        (HEADER, "rows.csv: no rows; give some"),
        (HEADER + "1,2,3,4\n1,2,x,4\n", "rows.csv:2: column 'c': 'x' is not a number; give one"),
        (HEADER + "1,2,,4\n", "rows.csv:1: column 'c': no value; give a number"),
        (HEADER + "1,2,inf,4\n", "rows.csv:1: column 'c': inf is not finite; give a number"),
        (HEADER + "1,2,3,4\n1,2,1e39,4\n", "column 'c': values of 3 to 1e+39 leave float32; give smaller ones"),
    ],
)
def test_rows(text: str, told: str) -> None:
    Path("rows.csv").write_text(text)
    assert told in refused("logistic", "--calibration", "rows.csv")


def test_arrays() -> None:
    np.save("rows.npy", np.ones((5, 3)))
    assert "rows.npy:1: [3] values, but the network takes 4; give as many" in refused("mlp", "--calibration", "rows.npy")
    Path("digits").mkdir()
    told = refused("mlp", "--calibration", "digits")
    assert "digits: no table, but the network takes rows of 4 columns; give a .csv, .jsonl, .npz, .npy or .parquet" in told
    assert "gone.csv: cannot be read (No such file or directory)" in refused("mlp", "--calibration", "gone.csv")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--bits", "1"], "takes rows of a table, which have 8 bits a value; leave out --bits, --threshold and --packed"),
        (["--std", "2"], "takes rows of a table, which nothing scales; leave out --mean and --std"),
        (["--input-shape", "2x2"], "takes rows of 4 columns; leave out --input-shape"),
        (["--labels", "a,b"], "has 3 outputs but there are 2 labels; give one label an output"),
    ],
)
def test_options(given: list[str], told: str) -> None:
    assert told in refused("logistic", "--calibration", IRIS, *given)
