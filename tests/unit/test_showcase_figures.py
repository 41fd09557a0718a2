"""The figures of the showcases: shares, intervals over sessions, tables."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools" / "showcase"))
figures = import_module("figures")

CLASSES = ("benign", "scan")


def names(text: str) -> np.ndarray:
    return np.array([{"b": "benign", "s": "scan"}[letter] for letter in text])


@pytest.mark.parametrize(("share", "shown"), [(None, "-"), (0.9984, ".998"), (1.0, "1.000"), (0.0, ".000")])
def test_shares(share: float | None, shown: str) -> None:
    assert figures.short(share) == shown


def test_figures_of_classes() -> None:
    benign, scan = figures.class_figures(names("bbbsss"), names("bbssss"), CLASSES)
    assert (benign.precision, benign.recall) == (1, 2 / 3)
    assert (scan.precision, scan.recall) == (3 / 4, 1)


def test_an_interval_is_over_sessions_and_not_over_rows() -> None:
    """Ten sessions of 100 equal rows each tell as much as ten rows do."""
    sessions = np.repeat(np.arange(10).astype(str), 100)
    truth, predicted = np.repeat(names("ssssssssss"), 100), np.repeat(names("ssssssssbb"), 100)
    _, (by_session,) = figures.estimates(truth, predicted, sessions, CLASSES, [lambda of: of.recall])
    rows = np.arange(1000).astype(str)
    _, (by_row,) = figures.estimates(truth, predicted, rows, CLASSES, [lambda of: of.recall])
    assert by_session.value == by_row.value == pytest.approx(0.8)
    assert by_session.low <= 0.5
    assert by_session.high == 1
    assert 0.76 < by_row.low < 0.8 < by_row.high < 0.84


def test_a_class_without_rows_has_no_figures() -> None:
    (_, (scan,)) = figures.estimates(names("bb"), names("bb"), np.array(["0", "1"]), CLASSES, [lambda of: of.recall])
    assert str(scan) == "-"


def test_the_same_rows_have_the_same_interval() -> None:
    given = names("bsbs"), names("bbbs"), np.array(["0", "1", "2", "3"]), CLASSES, [lambda of: of.f1]
    assert figures.estimates(*given) == figures.estimates(*given)


def test_tables() -> None:
    assert figures.markdown(["a", "b"], [["x", 1]]) == "| a | b |\n| --- | --- |\n| x | 1 |"
    with pytest.raises(ValueError, match="a row of 1 cells in a table of 2"):
        figures.markdown(["a", "b"], [["x"]])
