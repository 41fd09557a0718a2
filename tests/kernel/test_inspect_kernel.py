"""``ebpfnn inspect`` with a kernel to ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from networks import random_network

from ebpfnn.cli import main
from ebpfnn.evaluation import inspection
from ebpfnn.network import modelfile

pytestmark = pytest.mark.root


@pytest.mark.parametrize("shape", [(28, 28), (6, 6)], ids=["digits", "noise"])
def test_what_the_kernel_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    monkeypatch.setattr(inspection, "_ROUNDS", 1)
    path = tmp_path / "small.safetensors"
    modelfile.save(random_network("conv2x3-3" if shape == (6, 6) else "784-4-10", 1, shape), path)
    ran = CliRunner().invoke(main, ["inspect", str(path)])
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert "kernel: the verifier walked " in ran.stdout
    told = json.loads(CliRunner().invoke(main, ["inspect", str(path), "--json"]).stdout)
    kernel = told["kernel"]
    assert told["left_out"] is None
    assert kernel["verified"] > told["code"]["instructions"] / 2
    assert kernel["warm_ns"] > 0
    assert kernel["cold_ns"] > 0
    assert kernel["samples"] == ("sparse" if shape == (28, 28) else "dense")
