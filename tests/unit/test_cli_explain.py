"""``ebpfnn explain`` of rows of data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from forests import forest, tree
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.network.calibration import Calibration
from ebpfnn.network.preparation import Preparation
from ebpfnn.trees import Forest

COLUMNS = [
    {"name": "ports", "type": "integer", "encode": "bins", "bounds": [5, 10, 20]},
    {"name": "gap", "type": "float", "encode": "bins", "bounds": [0.5, 2.5]},
    {"name": "udp", "type": "integer", "encode": "bins", "bounds": [1]},
]


@pytest.fixture
def model() -> Forest:
    """Of 10 ports and more it is a scan, by 900 with a gap below 2.5, else by 100."""
    one = tree([0, 1], [2, 2], [[-1, 1], [-2, -3]], [[700, 0], [0, 900], [0, 100]])
    made = forest([one], 3, 0)
    form = replace(made.input, prepared=Preparation("columns", {"columns": COLUMNS}))
    calibration = Calibration("benign", 400, 0.01, 9, 1, 0, 0.5, (), (1, 2, 0))
    return replace(made, input=form, labels=("benign", "scan"), calibration=calibration)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "day2.csv"
    path.write_text("ports,gap,udp,label\n3,9.5,1,benign\n12,0.75,0,scan\n11,2.5,0,scan\nx,1,0,scan\n")
    return path


def ran(model: Forest, tmp_path: Path, *arguments: str) -> Result:
    modelfile.save(model, tmp_path / "guard.safetensors")
    command = ["explain", str(tmp_path / "guard.safetensors"), *arguments]
    return CliRunner().invoke(main, command, prog_name="ebpfnn")


def test_a_row_of_a_tree(model: Forest, data: Path, tmp_path: Path) -> None:
    found = ran(model, tmp_path, "--data", str(data), "--row", "2")
    assert found.exit_code == 0, found.output
    assert found.stdout.replace(str(tmp_path), "").splitlines() == [
        "/day2.csv:2",
        "scan by 900; it counts: from 400 on",
        "path: ports >= 10, gap < 2.5",
        "column  value  typical  carries  flips below     flips above",
        "ports   12     5 to 9   1,600    5 to 9: benign  -",
        "gap     0.75   >= 2.5   800      -               >= 2.5: scan, too weak",
        "carry nothing, and change nothing alone: 1 of 3 columns",
        "typical is the median of 9 rows of 'benign'; with all columns so, the lead is -700",
        "it flips if these are typical: ports",
    ]
    weak = ran(model, tmp_path, "--data", str(data), "--row", "3").stdout
    assert "scan by 100; it does not count: from 400 on" in weak
    spared = ran(model, tmp_path, "--data", str(data), "--row", "1").stdout
    assert "benign by 700\n" in spared
    assert "10 to 19: scan, too weak" in spared


def test_json_has_every_column(model: Forest, data: Path, tmp_path: Path) -> None:
    told = json.loads(ran(model, tmp_path, "--data", str(data), "--row", "2", "--json").stdout)
    assert (told["label"], told["lead"], told["counts"], told["against"]) == ("scan", 900, True, "benign")
    assert [(each["name"], each["carried"]) for each in told["columns"]] == [("ports", 1600), ("gap", 800), ("udp", 0)]
    assert told["columns"][0]["below"] == {"low": 5, "high": 10, "label": "benign", "counts": True}
    assert told["path"] == [{"column": "ports", "low": 10, "high": None}, {"column": "gap", "low": None, "high": 2.5}]


def test_without_a_calibration_the_data_says_what_is_typical(model: Forest, data: Path, tmp_path: Path) -> None:
    data.write_text(data.read_text().replace("x,1,0,scan\n", ""))
    for lacking in (None, replace(model.calibration or Calibration("", 0, 0, 1, 0, 0, 0), typical=(1, 2))):
        found = ran(replace(model, calibration=lacking), tmp_path, "--data", str(data), "--row", "1")
        assert f"typical is the median of all 3 rows of {data}; with all columns so, the lead is " in found.stdout


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["--data", "{data}"], "--data explains a row for a model; give MODEL and --row N, and nothing else"),
        (["5", "--data", "{data}", "--row", "1"], "give MODEL and --row N, and nothing else"),
        (["--data", "{data}", "--row", "9"], "it has 3 rows, and no row 9; give one of these"),
        (["--data", "{data}", "--row", "4"], "column 'ports': 'x' is not a number; give one"),
        (["--data", "{data}/none.csv", "--row", "1"], "none.csv"),
        (["--row", "1"], "--row is a row of data; give --data FILE too"),
    ],
)
def test_what_cannot_be_explained(model: Forest, data: Path, tmp_path: Path, arguments: list[str], fact: str) -> None:
    if fact.startswith("it has 3"):
        data.write_text(data.read_text().replace("x,1,0,scan\n", ""))
    found = ran(model, tmp_path, *(each.format(data=data) for each in arguments))
    assert found.exit_code in (1, 2)
    assert fact in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_a_model_of_pictures_and_a_cascade(data: Path, tmp_path: Path) -> None:
    modelfile.save(random_network((9, 5, 3), seed=1), tmp_path / "net.safetensors")
    for name, fact in ((str(tmp_path / "net.safetensors"), "by 'raw', so they have no columns"), ("mnist", "have no columns")):
        found = CliRunner().invoke(main, ["explain", name, "--data", str(data), "--row", "1"], prog_name="ebpfnn")
        assert (found.exit_code, fact in found.stderr) == (1, True), found.stderr


def test_a_tree_of_one_leaf_and_rows_beyond_all_bounds(model: Forest, data: Path, tmp_path: Path) -> None:
    stump = replace(model, trees=(tree([], [], [], [[0, 5]]),))
    data.write_text("ports,gap,udp\n18446744073709551615,-inf,0\n")
    found = ran(stump, tmp_path, "--data", str(data), "--row", "1")
    assert "carry nothing, and change nothing alone: 3 of 3 columns" in found.stdout
    assert "path" not in found.stdout
    big = json.loads(ran(model, tmp_path, "--data", str(data), "--row", "1", "--json").stdout)
    assert {each["name"]: each["value"] for each in big["columns"]}["ports"] == np.iinfo(np.uint64).max
