"""The example of docs/tables.md runs, prints what the page says, and does what it promises."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebpfnn.network import reference

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


@pytest.fixture(scope="module")
def example() -> str:
    (found,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_example_prints_what_the_page_says(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    (printed,) = re.findall(r"^It prints\n\n```\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    exec(example, {})  # noqa: S102
    assert capsys.readouterr().out == printed


def test_the_example_knows_the_parity_of_every_sample(example: str) -> None:
    made: dict[str, Any] = {}
    exec(example, made)  # noqa: S102
    samples = np.array(list(product((0, 1), repeat=4)), np.uint8)
    assert reference.labels(made["network"], samples).tolist() == (samples.sum(axis=1) % 2).tolist()
