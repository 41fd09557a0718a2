"""``ebpfnn calibrate``, on rows of sessions."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from forests import random_forest
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.preparation import Preparation
from ebpfnn.training import sessions

COLUMNS = [{"name": name, "type": "integer", "encode": "linear", "low": 0, "high": 255} for name in "abc"]


@pytest.fixture
def network() -> QuantizedNetwork:
    made = random_network((3, 6, 2), seed=3)
    form = replace(made.input, prepared=Preparation("columns", {"columns": COLUMNS}))
    return replace(made, input=form, labels=("benign", "scan"), card=sessions.describe(["monday", "tuesday"]))


def write(path: Path, groups: list[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows of noise, with half of the labels wrong."""
    random = np.random.default_rng(5)
    samples, truth = random.integers(0, 256, (400, 3)).astype(np.uint8), random.integers(0, 2, 400)
    lines = ["a,b,c,label" + (",group" if groups else "")]
    for number, (row, label) in enumerate(zip(samples.tolist(), truth, strict=True)):
        group = [groups[number % len(groups)]] if groups else []
        lines.append(",".join(map(str, [*row, ("benign", "scan")[label], *group])))
    path.write_text("\n".join(lines) + "\n")
    return samples, truth


def calibrate(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["calibrate", str(folder / "net.safetensors"), *arguments], prog_name="ebpfnn")


def test_the_file_carries_what_is_told(tmp_path: Path, network: QuantizedNetwork) -> None:
    modelfile.save(network, tmp_path / "net.safetensors")
    samples, truth = write(tmp_path / "day2.csv", ["friday", "sunday"])
    ran = calibrate(tmp_path, "--data", str(tmp_path / "day2.csv"), "--false-positives", "0.1", "--json")
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    saved = modelfile.load(tmp_path / "net.safetensors").calibration
    assert saved is not None
    assert (told["margin"], told["hit"], told["groups"]) == (saved.margin, saved.hit, 2)
    spared = np.sort(samples[truth == 0], axis=0)
    assert told["typical"] == list(saved.typical) == spared[(len(spared) - 1) // 2].tolist()  # 255 bounds, 1 to 255
    scores = reference.scores(network, samples).astype(np.int64)
    wrong = (scores[:, 1] - scores[:, 0])[truth == 0]
    assert saved.hit == (wrong >= max(saved.margin, 1)).sum() <= 0.1 * len(wrong) < (wrong >= saved.margin - 1).sum()


def test_text_and_another_output(tmp_path: Path, network: QuantizedNetwork) -> None:
    modelfile.save(network, tmp_path / "net.safetensors")
    write(tmp_path / "day2.csv", ["friday"])
    output = tmp_path / "out.safetensors"
    ran = calibrate(tmp_path, "--data", str(tmp_path / "day2.csv"), "--output", str(output))
    assert ran.exit_code == 0, ran.output
    assert "more rows are needed to know that it is at most 0.100%: with none hit, 2,995 rows" in ran.stdout
    assert modelfile.load(tmp_path / "net.safetensors").calibration is None
    assert modelfile.load(output).calibration is not None


def leading(path: Path, network: QuantizedNetwork, scans: slice) -> None:
    """Rows by how much scan leads in them, the surest first: ``scans`` of them are so, the others are benign."""
    samples = np.random.default_rng(5).integers(0, 256, (400, 3)).astype(np.uint8)
    scores = reference.scores(network, samples).astype(np.int64)
    ordered = samples[np.argsort(scores[:, 0] - scores[:, 1], kind="stable")]
    names = np.full(len(ordered), "benign")
    names[scans] = "scan"
    rows = [",".join(map(str, [*row, name, "friday"])) for row, name in zip(ordered.tolist(), names, strict=True)]
    path.write_text("\n".join(["a,b,c,label,group", *rows]) + "\n")


def test_a_margin_that_no_attack_reaches_is_told_with_a_share_that_helps(tmp_path: Path, network: QuantizedNetwork) -> None:
    modelfile.save(network, tmp_path / "net.safetensors")
    leading(tmp_path / "day2.csv", network, slice(7, 60))
    data = ("--data", str(tmp_path / "day2.csv"), "--output", str(tmp_path / "out.safetensors"))
    ran = calibrate(tmp_path, *data, "--false-positives", "0.001")
    told = (
        "no sample of another label reaches the margin, so a guard would act on none; train the model on more sessions, or give"
    )
    assert told in ran.stderr
    [share] = re.findall(r"--false-positives ([\d.]+), with which some count", ran.stderr)
    again = calibrate(tmp_path, *data, "--false-positives", share)
    assert again.exit_code == 0
    assert "act on none" not in again.output
    assert " 0.00%" not in again.stdout.splitlines()[-1]


def test_a_model_that_knows_no_attack_is_to_be_trained_again(tmp_path: Path, network: QuantizedNetwork) -> None:
    modelfile.save(network, tmp_path / "net.safetensors")
    leading(tmp_path / "day2.csv", network, slice(395, 400))
    ran = calibrate(tmp_path, "--data", str(tmp_path / "day2.csv"), "--false-positives", "0.001")
    assert ran.exit_code == 0
    assert ran.stderr.rstrip().endswith("act on none; train the model on more sessions")


def test_the_unit_of_a_margin_is_that_of_the_model(tmp_path: Path, network: QuantizedNetwork) -> None:
    write(tmp_path / "day2.csv", ["friday"])
    trees = random_forest(1, 5, 3, 3, 2)
    made = replace(trees, input=network.input, labels=network.labels, card=network.card)
    for model, unit in ((network, " logits) on"), (made, " in floats) on")):
        modelfile.save(model, tmp_path / "net.safetensors")
        ran = calibrate(tmp_path, "--data", str(tmp_path / "day2.csv"))
        assert unit in ran.stdout


@pytest.mark.parametrize(
    ("groups", "card", "fact"),
    [
        (["friday", "monday"], True, "has learned from 1 of its 2 sessions, such as 'monday'; calibrate on sessions"),
        (["friday"], False, "does not say which sessions it has learned from; train it on collected rows again"),
        (None, True, "it has no column 'group', so its sessions cannot be told; collect others, or give --new-sessions"),
    ],
)
def test_sessions_that_are_not_known_to_be_new(
    tmp_path: Path, network: QuantizedNetwork, groups: list[str] | None, card: bool, fact: str
) -> None:
    modelfile.save(network if card else replace(network, card={}), tmp_path / "net.safetensors")
    before = (tmp_path / "net.safetensors").read_bytes()
    write(tmp_path / "day2.csv", groups)
    ran = calibrate(tmp_path, "--data", str(tmp_path / "day2.csv"))
    assert ran.exit_code == 2
    assert fact in ran.stderr.replace("\n", " ")
    assert (tmp_path / "net.safetensors").read_bytes() == before
    forced = calibrate(tmp_path, "--data", str(tmp_path / "day2.csv"), "--new-sessions")
    assert (forced.exit_code == 0) == (groups != ["friday", "monday"]), forced.output


@pytest.mark.parametrize(
    ("labels", "arguments", "fact"),
    [
        (("web", "scan"), [], "has no label 'benign'; give --spare, one of web, scan"),
        (("benign", "scan"), ["--spare", "scna"], "has no label 'scna'; did you mean 'scan'?"),
    ],
)
def test_labels_that_are_not_there(
    tmp_path: Path, network: QuantizedNetwork, labels: tuple[str, str], arguments: list[str], fact: str
) -> None:
    modelfile.save(replace(network, labels=labels), tmp_path / "net.safetensors")
    write(tmp_path / "day2.csv", ["friday"])
    ran = calibrate(tmp_path, "--data", str(tmp_path / "day2.csv"), *arguments)
    assert ran.exit_code == 2
    assert fact in ran.stderr


@pytest.mark.parametrize(
    ("share", "code", "told"), [("nan", 2, "nan is no share"), ("1e-17", 0, "with none hit, 299,573,"), ("0", 0, "no number")]
)
def test_shares_that_are_odd(tmp_path: Path, network: QuantizedNetwork, share: str, code: int, told: str) -> None:
    modelfile.save(network, tmp_path / "net.safetensors")
    write(tmp_path / "day2.csv", ["friday"])
    ran = calibrate(tmp_path, "--data", str(tmp_path / "day2.csv"), "--false-positives", share)
    assert ran.exit_code == code
    assert told in ran.output


def test_a_file_that_is_not_there_is_told_before_its_sessions(tmp_path: Path, network: QuantizedNetwork) -> None:
    modelfile.save(network, tmp_path / "net.safetensors")
    ran = calibrate(tmp_path, "--data", str(tmp_path / "day3.csv"))
    assert ran.exit_code == 1
    assert "day3.csv: cannot be read (No such file or directory)" in ran.stderr
    assert "sessions" not in ran.stderr


def test_a_bundled_network_is_not_changed(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["calibrate", "mnist", "--spare", "0", "--data", "bundled"], prog_name="ebpfnn")
    assert ran.exit_code == 2
    assert "network 'mnist' is bundled, and is not changed; give --output FILE" in ran.stderr
