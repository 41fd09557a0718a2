"""Cascades: the margin that a share needs, networks that fit each other, and the verb that makes one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from networks import dense, input_format, network, random_network, samples
from tablenets import cascade, table_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import ModelError
from ebpfnn.evaluation.cascades import Pair, outcome, outcomes
from ebpfnn.network import QuantizedNetwork, cascades, encoding, orders, reference
from ebpfnn.network.events import carried
from ebpfnn.network.preparation import Preparation


def leading(*leads: int) -> np.ndarray:
    """Scores of two classes that lead by so much."""
    return np.array([[lead, 0] for lead in leads], np.int32)


@pytest.mark.parametrize(
    ("leads", "share", "margin"),
    [
        ([5, 1, 9, 3], 0.25, 3),
        ([5, 1, 9, 3], 0.5, 5),
        ([5, 1, 9, 3], 0.75, 9),
        ([5, 1, 9, 3], 1.0, 10),
        ([5, 1, 9, 3], 0.01, 1),
        ([0, 0, 9, 3], 0.25, 1),  # equal scores always go on
        ([3, 3, 3, 9], 0.25, 3),  # and of equal leads none, rather than too many
        ([2**31 - 1], 1.0, 2**31 - 1),
    ],
)
def test_the_margin_that_a_share_needs(leads: Sequence[int], share: float, margin: int) -> None:
    assert cascades.margin_for(leading(*leads), share) == margin


def test_no_more_go_on_than_asked() -> None:
    scores = np.random.default_rng(1).integers(-99, 99, (500, 4)).astype(np.int32)
    for share in (0.01, 0.05, 0.3, 0.9):
        on = (reference.margins(scores) < cascades.margin_for(scores, share)).sum()
        assert share * 500 - 20 <= on <= share * 500


def test_outcomes_by_hand() -> None:
    first = np.array([[9, 0], [1, 0], [0, 2], [0, 9]], np.int32)
    second = np.array([[0, 1], [0, 1], [0, 1], [1, 0]], np.int32)
    of = Pair(first, second, np.array([0, 1, 0, 1]))
    alone = outcome(of, 0)
    assert (alone.goes_on, alone.accuracy) == (0, 0.5)
    half = outcome(of, 3)
    assert (half.goes_on, half.accuracy, half.gained, half.lost) == (0.5, 0.75, 1, 0)
    whole = outcome(of, 10)
    assert (whole.goes_on, whole.accuracy, whole.gained, whole.lost) == (1, 0.25, 1, 2)
    assert [each.margin for each in outcomes(of, 7, (0.25, 0.5))] == [0, 2, 7, 9, 10]


def given(seed: int = 3) -> np.ndarray:
    return np.concatenate([samples((8, 8), seed + number) for number in range(6)])


def test_the_network_that_decides() -> None:
    first, second, third = table_network(1), table_network(3), table_network(5)
    made = cascade(first, second, third, margin=40)
    stage = cascades.deciding(made, given())
    assert set(stage.tolist()) == {0, 1, 2}
    alone = np.stack([reference.scores(each, given()) for each in (first, second, third)])
    assert np.array_equal(reference.scores(made, given()), alone[stage, np.arange(len(stage))])
    assert cascades.deciding(first, given()).tolist() == [0] * len(stage)


def test_units() -> None:
    made = cascade(table_network(1, score_scale=0.5), table_network(3, score_scale=0.25))
    assert made.score_scales == (0.5, 0.25)
    assert cascades.one_unit(made.score_scales) is None
    assert cascades.one_unit(made.score_scales[:1]) == 0.5
    assert cascades.one_unit(cascade(table_network(1), table_network(3)).score_scales) == 1.0


def joined(first: QuantizedNetwork, second: QuantizedNetwork) -> QuantizedNetwork:
    """Both as they were, on samples: whatever is changed for the cascade changes no score."""
    made = cascades.join(first, second, 30, 0.5)
    assert made.then
    for was, now in ((first, replace(made, then=None)), (second, made.then.network)):
        assert np.array_equal(reference.scores(was, given()), reference.scores(now, given()))
    packed = encoding.encode(made.input, given())
    assert np.array_equal(reference.scores(made, given()), reference.scores_of_encoded(made, packed))
    return made


def test_the_second_takes_what_the_first_takes() -> None:
    tiles, rows, pixels = table_network(1), table_network(3, tile=None), table_network(5, packed=False)
    for second in (rows, pixels, cascade(rows, table_network(7, tile=None))):
        made = joined(tiles, second)
        assert {orders.packed(each.input) for each in made.stages} == {"2x4 tiles"}
    for second in (tiles, rows, cascade(tiles, table_network(7))):
        made = joined(pixels, second)
        assert not any(each.input.packed for each in made.stages)


def test_a_network_of_pixels_behind_packed_levels() -> None:
    tiles, pixels = table_network(1), random_network("conv2x3-4", 2, (8, 8))
    with pytest.raises(ModelError, match=r"'tables1' takes packed levels of 1 bit by thresholds \[100\], and 'test' pixels;"):
        cascades.join(tiles, pixels, 30, 0.5)
    other = replace(table_network(3), input=replace(table_network(3).input, thresholds=(101,)))
    with pytest.raises(ModelError, match=r"and 'tables3' packed levels of 1 bit by thresholds \[101\]; give --unpacked"):
        cascades.join(tiles, other, 30, 0.5)
    made = joined(cascades.unpacked(tiles), pixels)
    assert not made.input.packed
    assert joined(pixels, tiles).then
    deep = cascades.unpacked(cascade(tiles, table_network(3)))
    assert not any(each.input.packed or each.input.order for each in deep.stages)


SPEC = carried({"name": "flow"}, "xdp")


@pytest.mark.parametrize(
    ("first", "second", "fact"),
    [
        ({}, {"labels": ("0", "1", "x", "3")}, "label 2 of 'b' is 'x', and of 'a' '2'; train both on the same data"),
        ({"events": SPEC}, {}, "'b' and 'a' carry different specs, or one none; train both on the same rows"),
        ({"events": SPEC}, {"events": carried({"name": "flow"}, "tc")}, "'b' and 'a' carry different specs"),
    ],
)
def test_what_is_no_cascade(first: dict[str, Any], second: dict[str, Any], fact: str) -> None:
    ours, theirs = replace(table_network(1), name="a", **first), replace(table_network(3), name="b", **second)
    with pytest.raises(ModelError, match=fact):
        cascades.join(ours, theirs, 30, 0.5)


def test_networks_that_take_other_samples() -> None:
    ours = table_network(1)
    with pytest.raises(ModelError, match="'test' has 3 labels, and 'tables1' 4"):
        cascades.join(ours, random_network((64, 3), 1), 30, 0.5)
    with pytest.raises(ModelError, match="'test' takes samples of 64, and 'tables1' of 8x8; train"):
        cascades.join(ours, random_network((64, 4), 1), 30, 0.5)
    prepared = replace(ours, input=replace(ours.input, prepared=Preparation("glyph", {"dark": True})))
    with pytest.raises(ModelError, match="'tables1' prepares samples by 'glyph', and 'tables1' by 'picture'"):
        cascades.join(ours, prepared, 30, 0.5)
    with pytest.raises(ModelError, match="'tables1' is a cascade, which cannot be the first network of another; make"):
        cascades.join(cascade(ours, table_network(3)), ours, 30, 0.5)
    with pytest.raises(ModelError, match="more than 4 networks in a cascade"):
        cascades.join(ours, cascade(*(table_network(seed) for seed in (1, 3, 5, 7))), 30, 0.5)


def test_a_spec_is_carried_once() -> None:
    made = cascades.join(replace(table_network(1), events=SPEC), replace(table_network(3), events=SPEC), 30, 0.5)
    assert made.events == SPEC
    assert made.then
    assert not made.then.network.events


COUNT = 600


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pixel in three tells the class, and noise hides it; the second network sees through more noise than the first."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(2)
    for part, count in (("train", COUNT), ("test", 200)):
        truth = random.integers(0, 3, count)
        pixels = random.integers(0, 100, (count, 6))
        pixels[np.arange(count), truth] += random.integers(0, 80, count)
        pixels[np.arange(count), 3 + truth] += random.integers(0, 150, count)
        np.savez(tmp_path / f"{part}.npz", samples=pixels.astype(np.uint8), labels=truth)
    eye, zero = np.eye(3), np.zeros(3)
    for name, weights in (("weak", np.hstack([eye, 0 * eye])), ("strong", np.hstack([eye, 2 * eye]))):
        made = replace(network([dense(weights, zero)], input_format((6,))), name=name, score_scale=0.5)
        modelfile.save(replace(made, card={"data": "noise", "recipe": name}), f"{name}.safetensors")
    return tmp_path


def ran(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["cascade", *arguments], prog_name="ebpfnn")


def test_the_verb(data: Path) -> None:
    done = ran("weak.safetensors", "strong.safetensors", "--data", str(data), "--share", "0.4")
    assert done.exit_code == 0, done.output
    made = modelfile.load("weak-strong.safetensors")
    assert made.then
    assert made.then.network.name == "strong"
    held_out = np.random.default_rng(0).permutation(COUNT)[: COUNT // 12]  # as `ebpfnn train` does
    with np.load(data / "train.npz") as part:
        leads = reference.margins(reference.scores(modelfile.load("weak.safetensors"), part["samples"][held_out]))
    assert made.then.share == (leads < made.then.margin).mean()
    assert 0.3 < made.then.share <= 0.4
    with np.load(data / "test.npz") as part:
        right = float((reference.labels(made, part["samples"]) == part["labels"]).mean())
    assert made.card["integer accuracy"].startswith(f"{right:.2%} of the test samples, ")
    assert made.card["cascade"].startswith("'strong' decides where the best score of 'weak' leads by less than ")
    assert made.card["data"] == "noise"
    assert "recipe" not in made.card
    assert made.card["first network"].endswith("; weak")
    lines = done.output.splitlines()
    assert lines[0] == f"On {COUNT // 12} samples held out:"
    assert lines[3].split()[-2:] == ["first", "alone"]
    assert sum(line.endswith("chosen") for line in lines) == 1
    assert f"weak-strong  {right:.2%}" in done.output


def test_a_margin_and_json(data: Path) -> None:
    (data / "out.float.safetensors").write_bytes(b"of a former network")
    done = ran(
        "weak.safetensors", "strong.safetensors", "--data", str(data), "--margin", "7", "-o", "out.safetensors", "--json"
    )
    told = json.loads(done.output)
    made = modelfile.load("out.safetensors")
    assert made.then
    assert told["margin"] == made.then.margin == 7
    assert told["name"] == "weak-strong"
    assert [each["goes_on"] for each in told["held_out"]] == sorted(each["goes_on"] for each in told["held_out"])
    assert (told["test"]["first"]["goes_on"], told["test"]["second"]["goes_on"]) == (0, 1)
    assert not (data / "out.float.safetensors").exists()


def test_data_of_one_part_is_split_as_for_training(data: Path) -> None:
    done = ran("weak.safetensors", "strong.safetensors", "--data", str(data / "train.npz"))
    assert done.output.startswith(f"On {(COUNT - COUNT // 6) // 12} samples held out:")
    assert f"On {COUNT // 6} test samples:" in done.output


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("--share", "0.1", "--margin", "3"), "--share and --margin exclude each other"),
        (("--share", "0"), "0.0 is not in the range 0<x<=1"),
        (("--margin", "0"), "0 is not in the range x>=1"),
        (("--output", "strong.safetensors"), "output file 'strong.safetensors' is also an input file"),
    ],
)
def test_usage(data: Path, arguments: tuple[str, ...], fact: str) -> None:
    done = ran("weak.safetensors", "strong.safetensors", "--data", str(data), *arguments)
    assert done.exit_code == 2
    assert fact in done.output


def test_the_name_of_a_network_leads_to_no_other_directory(data: Path) -> None:
    (data / "elsewhere").mkdir()
    hostile = replace(modelfile.load("weak.safetensors"), name="elsewhere/weak")
    modelfile.save(hostile, "hostile.safetensors")
    done = ran("hostile.safetensors", "strong.safetensors", "--data", str(data))
    assert done.exit_code == 2
    assert "name 'elsewhere/weak-strong' is not that of a file in this directory; give --output or --name" in done.output
    assert not list((data / "elsewhere").iterdir())
    assert ran("hostile.safetensors", "strong.safetensors", "--data", str(data), "--name", "own").exit_code == 0
    assert modelfile.load("own.safetensors").name == "own"


def test_networks_that_do_not_fit_are_refused_before_anything_runs(data: Path) -> None:
    modelfile.save(random_network((5, 3), 1), "other.safetensors")
    done = ran("weak.safetensors", "other.safetensors", "--data", "nowhere")
    assert done.exit_code == 1
    assert done.output == "ebpfnn: 'test' takes samples of 5, and 'weak' of 6; train both on the same samples\n"
