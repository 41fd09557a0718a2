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


def graph(
    nodes: list[tuple[str, list[str], str, dict[str, object]]], inputs: dict[str, list[int | str]], kind: int = 1
) -> None:
    """``net.onnx``, of nodes (operator, inputs, output, attributes), as skl2onnx would have written it."""
    from onnx import helper

    made = [
        helper.make_node(kind_of, given, [out, *(["scores"] if kind_of == "LinearClassifier" else [])], **attributes)
        for kind_of, given, out, attributes in nodes
    ]
    ends = [helper.make_tensor_value_info(nodes[-1][2], 1, ["n", 2])]
    begins = [helper.make_tensor_value_info(name, 1, shape) for name, shape in inputs.items()]
    model = helper.make_model(helper.make_graph(made, "net", begins, ends), producer_name="skl2onnx")
    model.opset_import.extend([helper.make_opsetid("ai.onnx.ml", 3)])
    Path("net.onnx").write_bytes(model.SerializeToString())


def ml(**attributes: object) -> dict[str, object]:
    return {"domain": "ai.onnx.ml", **attributes}


TWO = ml(classlabels_ints=[0, 1], coefficients=[1.0, 2.0], intercepts=[0.5])
THREE = ml(classlabels_ints=[0, 1, 2], coefficients=[-1.0, -2.0, -3.0] * 2, intercepts=[0.0] * 3)
CASES: dict[str, tuple[list[tuple[str, list[str], str, dict[str, object]]], dict[str, list[int | str]], str]] = {
    "two ways": (
        [("Scaler", ["a"], "s", ml(offset=[0.0], scale=[1.0])), ("Exp", ["b"], "e", {}), ("Add", ["s", "e"], "y", {})],
        {"a": ["n", 1], "b": ["n", 1]},
        "has 2 inputs, and its columns take several ways to a layer",
    ),
    "rows joined": (
        [("Concat", ["a", "b"], "c", {"axis": 0}), ("LinearClassifier", ["c"], "y", TWO)],
        {"a": ["n", 1], "b": ["n", 1]},
        "(Concat), joins rows, not columns, which cannot be imported",
    ),
    "a cast that rounds": (
        [("Cast", ["a"], "w", {"to": 7}), ("Concat", ["w", "b"], "c", {"axis": 1}), ("LinearClassifier", ["c"], "y", TWO)],
        {"a": ["n", 1], "b": ["n", 1]},
        "(Cast), casts to an integer; only floats can be imported",
    ),
    "many columns": (
        [("LinearClassifier", ["x"], "y", TWO)],
        {"x": ["n", 1 << 40]},
        "net.onnx: its input has 1099511627776 values, over 16777216; give a smaller network",
    ),
    "many columns of several inputs": (
        [("Concat", ["a", "b"], "c", {"axis": 1}), ("LinearClassifier", ["c"], "y", TWO)],
        {"a": ["n", 1 << 40], "b": ["n", 1]},
        "input 'a' has sizes [0, 1099511627776], 0 for those not fixed; several inputs are [rows, columns]",
    ),
    "no labels": (
        [("LinearClassifier", ["x"], "y", ml(coefficients=[1.0, 2.0]))],
        {"x": ["n", 2]},
        "(LinearClassifier), names no labels; export it again",
    ),
    "a transform that may change labels": (
        [("LinearClassifier", ["x"], "y", TWO | {"post_transform": "SOFTMAX_ZERO"})],
        {"x": ["n", 2]},
        "ends with SOFTMAX_ZERO, which cannot be imported; export its raw scores",
    ),
    "a scaler of other columns": (
        [("Scaler", ["x"], "s", ml(offset=[0.0] * 3, scale=[1.0] * 3)), ("LinearClassifier", ["s"], "y", TWO)],
        {"x": ["n", 2]},
        "(Scaler), scales 3 columns but is given 2; export it again",
    ),
    "several values of one": (
        [("LinearRegressor", ["x"], "y", ml(coefficients=[1.0] * 2, intercepts=[0.0, 1.0], targets=2))],
        {"x": ["n", 2]},
        "(LinearRegressor), has 2 coefficients for 2 columns and 2 outputs; export it again",
    ),
    "65 values": (
        [("LinearRegressor", ["x"], "y", ml(coefficients=[1.0] * 130, targets=65))],
        {"x": ["n", 2]},
        "net.onnx: 65 outputs; a result carries at most 64; train it for fewer, or put a layer of at most 64 outputs behind it",
    ),
    "a division by what may be negative": (
        [("LinearClassifier", ["x"], "l", THREE), ("Normalizer", ["scores"], "n", ml()), ("ArgMax", ["n"], "y", {"axis": 1})],
        {"x": ["n", 2]},
        "(Normalizer), divides each row by its norm, which no layer can",
    ),
    "the last of equal scores": (
        [("LinearClassifier", ["x"], "l", THREE), ("ArgMax", ["scores"], "y", {"axis": 1, "select_last_index": 1})],
        {"x": ["n", 2]},
        "(ArgMax), cannot be imported",
    ),
    "a Binarizer of what is mixed": (
        [
            ("LinearRegressor", ["x"], "m", ml(coefficients=[1.0, 2.0], intercepts=[0.0])),
            ("Binarizer", ["m"], "b", ml(threshold=0.5)),
            ("LinearClassifier", ["b"], "y", TWO | {"coefficients": [1.0]}),
        ],
        {"x": ["n", 2]},
        "splits what is made of several columns; put the Binarizer in front of what mixes them",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_graphs(case: str) -> None:
    nodes, inputs, told = CASES[case]
    graph(nodes, inputs)
    np.save("rows.npy", np.arange(8.0).reshape(4, 2))
    assert told in refused(Path("net").resolve().as_posix(), "--calibration", "rows.npy")
