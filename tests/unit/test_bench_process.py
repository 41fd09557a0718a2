"""Measuring whole processes, with one that is played."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ebpfnn.bench import process
from ebpfnn.bench.process import ProcessCost, measure_process
from ebpfnn.cli import main
from ebpfnn.errors import SessionError


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for Python: keeps its arguments beside itself, line by line, and fails where no image is among them."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nfor last; do :; done\ntest -s "$last"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return tmp_path / "calls"


def test_it_runs_infer_once_to_warm_up_and_then_as_often_as_told(interpreter: Path) -> None:
    cost = measure_process("halves", runs=3)
    assert 0 < cost.seconds_min <= cost.seconds_median
    assert cost.peak_mib > 0
    calls = interpreter.read_text().splitlines()
    assert len(calls) == 4
    assert all(call.startswith("-m ebpfnn infer --quiet --model halves /") for call in calls)
    assert not Path(calls[0].split()[-1]).exists()


def test_a_process_that_fails_is_told(interpreter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SessionError, match=r"^`-m ebpfnn infer .*` ended with status 1; see `ebpfnn doctor`$"):
        measure_process("halves", runs=1)


def test_a_network_of_columns_is_given_a_row(interpreter: Path) -> None:
    measure_process("rows", runs=1, columns=3)
    assert all(call.endswith("/row.npy") for call in interpreter.read_text().splitlines())


def test_the_verb_prints_times_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "measure_process", lambda model, columns: ProcessCost(0.25, 0.5, 40.0 + columns))
    ran = CliRunner().invoke(main, ["bench", "--process"])
    assert ran.stdout == "ebpfnn infer, whole process: minimum 0.25 s, median 0.50 s\npeak memory: 40.0 MiB\n"
    assert '"peak_mib": 40.0' in CliRunner().invoke(main, ["bench", "--process", "--json"]).stdout
