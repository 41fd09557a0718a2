"""Rows of a table, inferred in the kernel, equal to the reference of bytes that loops count."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ebpfnn_plugins.run import RunTrigger
from networks import dense, network

import ebpfnn
from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.preparation import Preparation
from ebpfnn.session import Session

pytestmark = pytest.mark.root
BOUNDS = {"port": [22, 53, 80, 443, 1024], "bytes": [2**53, 2**53 + 1, 2**63], "gap": [-1, 0, 10**6, 10**9]}


def rows(path: Path) -> list[list[int]]:
    """300 rows at bounds, beside them and between, which are written to ``path``."""
    random = np.random.default_rng(5)
    near = {name: [bound + by for bound in bounds for by in (-1, 0, 1)] for name, bounds in BOUNDS.items()}
    found = [[values[random.integers(len(values))] for values in near.values()] for _ in range(300)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(BOUNDS), *found])
    return found


@pytest.mark.parametrize("encode", ["bins", "thermometer"])
def test_rows_are_inferred_as_the_reference_does(tmp_path: Path, encode: str) -> None:
    bits = [
        [[int(value >= bound) for bound in BOUNDS[name]] for name, value in zip(BOUNDS, row, strict=True)]
        for row in rows(tmp_path / "a.csv")
    ]
    expected = [[sum(each) for each in row] if encode == "bins" else [bit for each in row for bit in each] for row in bits]
    described = [{"name": name, "type": "integer", "encode": encode, "bounds": BOUNDS[name]} for name in BOUNDS]
    form = InputFormat((len(expected[0]),), prepared=Preparation("columns", {"columns": described}))
    if encode == "thermometer":
        form = replace(form, bits=1, thresholds=(1,), packed=True)
    random = np.random.default_rng(2)
    net = network([dense(random.integers(-127, 128, (3, form.size)), [-5, 0, 5])], form)
    with Session(net, RunTrigger()) as session:
        found = [session.infer(sample.data) for sample in ebpfnn.samples(net, tmp_path / "a.csv")]
    wanted = reference.scores(net, np.array(expected, np.uint8))
    assert [list(result.scores) for result in found] == wanted.tolist()
    assert len({tuple(row) for row in wanted.tolist()}) > 50
