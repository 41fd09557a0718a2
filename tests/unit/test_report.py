"""What is told of one sample: also that no label is near enough."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from networks import random_network
from tablenets import cascade, table_network

from ebpfnn.cli import main
from ebpfnn.cli.report import NONE, Report, as_json, as_label, as_text
from ebpfnn.errors import InputError
from ebpfnn.plugin import Sample

NETWORK = replace(random_network((4, 3), 1), score_scale=0.01, labels=("a", "b", "c"))


def report(*scores: int, least: float | None) -> Report:
    sample = Sample(np.zeros(4, np.uint8), "x.png")
    return Report(sample, NETWORK, "run", int(np.argmax(scores)), scores, 5, min_margin=least)


@pytest.mark.parametrize(("least", "label"), [(None, "b"), (0.0, "b"), (1.99, "b"), (2.0, "b"), (2.01, None)])
def test_a_label_needs_its_margin(least: float | None, label: str | None) -> None:
    """100 of 300, with 0.01 logits a score: the best leads by 2."""
    made = report(100, 300, -50, least=least)
    assert as_label(made, 0) == (label or NONE)
    assert (label or NONE) in as_text(made, 5)
    told = json.loads(as_json(made, 0))
    assert told["label"] == label
    assert told.get("margin") == (None if least is None else 2.0)


def test_no_label_is_told_among_the_best_where_none_leads() -> None:
    made = replace(report(100, 300, -50, least=2.01), top=3)
    assert as_label(made, 0) == NONE
    assert as_text(made, 5).count(NONE) == 1
    assert as_label(replace(made, min_margin=2.0), 0) == "b\ta\tc"
    assert [each["label"] for each in json.loads(as_json(made, 0))["top"]] == ["b", "a", "c"]


def of_cascade(stage: int | None, **fields: Any) -> Report:
    """Scores 7 and 5, of which a score is 0.5 or 0.25 logits."""
    made = cascade(table_network(1, score_scale=0.5), table_network(3, score_scale=0.25))
    return Report(Sample(np.zeros((8, 8), np.uint8), "x.png"), made, "run", 1, (5, 7, 0, 0), 5, stage=stage, **fields)


def test_scores_are_in_the_unit_of_the_network_that_decided() -> None:
    assert [of_cascade(stage).margin for stage in (0, 1)] == [1.0, 0.5]
    weights = [math.exp(score * 0.25) for score in (5, 7, 0, 0)]
    assert of_cascade(1).confidence == pytest.approx(weights[1] / sum(weights))
    assert json.loads(as_json(of_cascade(1), 0))["stage"] == 1
    assert "stage" not in json.loads(as_json(report(1, 2, 3, least=None), 0))


def test_without_its_unit_a_score_tells_no_confidence() -> None:
    unknown = of_cascade(None, top=2)
    told = json.loads(as_json(unknown, 0))
    assert (told["label"], told["confidence"], told["stage"]) == ("1", None, None)
    assert [each["confidence"] for each in told["top"]] == [None, None]
    assert "%" not in as_text(unknown, 5)
    with pytest.raises(InputError, match=r"which network of the cascade 'tables1' decided is not known, .*; leave out --min-m"):
        as_text(replace(unknown, min_margin=1.0), 5)


@pytest.mark.parametrize("margin", ["nan", "-1", "x"])
@pytest.mark.parametrize("verb", [["infer"], ["query", "10.0.0.1"]])
def test_a_margin_is_a_number(verb: list[str], margin: str) -> None:
    ran = CliRunner().invoke(main, [*verb, "--min-margin", margin, "x.png"])
    assert ran.exit_code == 2
    assert "'--min-margin'" in ran.stderr


def test_equal_scores_have_no_margin() -> None:
    assert report(7, 7, -50, least=0.0).name == "a"
    assert report(7, 7, -50, least=0.001).name == NONE
