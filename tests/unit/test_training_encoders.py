"""Encoders that come from a plugin: training, benchmarks and the showcase know them by the hook."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from networks import random_network

from ebpfnn import abi
from ebpfnn.bench.inputs import corner_inputs, dense_inputs
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import InputError, ModelError
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.preparation import Preparation
from ebpfnn.preparation import Bounds, Encoder
from ebpfnn.preparation.encoder import BUILT_IN
from ebpfnn.training import columns

PLUGIN = f"""
from ebpfnn.plugin import hookimpl
from ebpfnn.preparation import Encoder, number

EBPFNN_ABI = {abi.VERSION}


class Quarters(Encoder):
    name, summary = "quarters", "four even steps"
    parameters = {{"low": "start of the range", "high": "end of the range"}}

    def bounds(self, described, kind):
        low, high = (number(described, each, kind) for each in ("low", "high"))
        return tuple(low + (high - low) * part // 4 for part in range(1, 5))


class Bits(Quarters):
    name, thermometer = "bits", True


class Squares(Encoder):
    name, parameters = "squares", {{"count": "number of bounds", "low": "start"}}

    def bounds(self, described, kind):
        return tuple(k * k for k in range(described["count"]))


@hookimpl
def ebpfnn_encoders():
    return [Quarters(), Bits(), Squares()]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(PLUGIN)
    choose = random.Random(1)
    with open("rows.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["size", "port", "label"])
        rows.writerows((size, choose.randrange(1000), int(size > 500)) for size in (choose.randrange(1001) for _ in range(400)))
    return tmp_path


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--plugin", "own.py"])


def train(*words: str) -> Result:
    pytest.importorskip("torch")
    given = [
        "train",
        "--data",
        "rows.csv",
        "--arch",
        "in-8-2",
        "--epochs",
        "3",
        "--threads",
        "1",
        "--output",
        "own.safetensors",
    ]
    return invoke(*given, *words)


@pytest.mark.parametrize(("words", "inputs"), [(["--encode", "quarters"], 2), (["--encode", "bits", "--bits", "1"], 8)])
def test_every_column_by_an_encoder_of_a_plugin(place: Path, words: list[str], inputs: int) -> None:
    ran = train(*words)
    assert ran.exit_code == 0, ran.output
    network = modelfile.load("own.safetensors")
    described = network.input.preparation.options["columns"]
    assert [(each["name"], each["encode"]) for each in described] == [("size", words[1]), ("port", words[1])]
    assert all(0 <= each["low"] < 20 and 980 < each["high"] <= 1000 for each in described)
    assert network.input.size == inputs
    assert [each.get("step") for each in described] == ([63, 63] if inputs == 2 else [None, None])


def test_one_column_by_an_encoder_of_a_plugin(place: Path) -> None:
    ran = train("--columns", "port=quarters")
    assert ran.exit_code == 0, ran.output
    described = modelfile.load("own.safetensors").input.preparation.options["columns"]
    assert [each["encode"] for each in described] == ["bins", "quarters"]


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["--encode", "quarter"], "encoder 'quarter' is not known; give one of bins, bits, linear, log2, quarters, squares"),
        (["--encode", "quarters:3"], "encoder 'quarters:3': quarters takes no number; give that"),
        (["--encode", "bits"], "column 'size': bits and 8 bits an input value; give thermometer to --bits 1"),
        (
            ["--columns", "port=squares"],
            "column 'port': training has no count for the encoder 'squares'; give the column to it",
        ),
    ],
)
def test_what_is_refused(place: Path, words: list[str], fact: str) -> None:
    ran = train(*words)
    assert ran.exit_code == 1
    assert fact in ran.stderr
    assert not Path("own.safetensors").exists()


class Threes(Encoder):
    name = "threes"

    def bounds(self, described: Mapping[str, Any], kind: str) -> Bounds:
        return (3, 6, 9)


def test_without_the_plugin_the_encoder_is_not_known() -> None:
    values, labels = {"x": np.arange(20)}, np.arange(20) % 2
    known = {**BUILT_IN, "threes": Threes()}
    (found,) = columns.learn(values, labels, {}, columns.encoder("threes", known), 8, known=known)
    assert found == {"name": "x", "type": "integer", "encode": "threes", "step": 85}
    with pytest.raises(ModelError, match="encoder 'threes' is not known; give one of linear, log2, bins, thermometer"):
        columns.encoder("threes")
    with pytest.raises(InputError, match="give thermometer to --bits 1"):
        columns.learn(values, labels, {}, columns.Asked("threes"), 1, known=known)


def test_drawn_samples_are_ones_that_such_columns_can_give() -> None:
    described = {"columns": [{"name": "x", "type": "integer", "encode": "threes", "step": 7}]}
    form = InputFormat((1,), prepared=Preparation("columns", described))
    network = random_network("1-2", 1, (1,))
    network = type(network)(network.name, form, network.labels, network.layers, network.score_scale, card=network.card)
    known = {**BUILT_IN, "threes": Threes()}
    drawn = {given.kind: given.samples for given in corner_inputs(network, 300, encoders=known)}
    assert set(drawn["drawn-noise"].ravel().tolist()) == {0, 7, 14, 21}
    assert set(dense_inputs(network, 300, encoders=known).samples.ravel().tolist()) == {7, 14, 21}
    assert len(set(dense_inputs(network, 300).samples.ravel().tolist())) > 50  # any bytes, where it is not installed
