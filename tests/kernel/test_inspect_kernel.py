"""``ebpfnn inspect`` with a kernel to ask."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.evaluation import inspection
from ebpfnn.session import Session

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("small_caches")]


@pytest.mark.parametrize("shape", [(28, 28), (6, 6)], ids=["digits", "noise"])
def test_what_the_kernel_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    monkeypatch.setattr(inspection, "_ROUNDS", 1)
    path = tmp_path / "small.safetensors"
    modelfile.save(random_network("conv2x3-3" if shape == (6, 6) else "784-4-10", 1, shape), path)
    ran = CliRunner().invoke(main, ["inspect", str(path)])
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert re.search(
        r"kernel: loaded in \d+ ms; verified instructions, with the program of trigger 'run': [\d,]+\n", ran.stdout
    )
    told = json.loads(CliRunner().invoke(main, ["inspect", str(path), "--json"]).stdout)
    kernel = told["kernel"]
    assert told["left_out"] is None
    assert kernel["trigger"] == "run"
    assert kernel["verified"] > told["code"]["instructions"] / 2
    assert kernel["warm_ns"] > 0
    assert kernel["cold_ns"] > 0
    assert kernel["samples"] == ("sparse" if shape == (28, 28) else "dense")


def test_the_verified_instructions_are_those_that_loading_tells_of_the_same_trigger(caplog: pytest.LogCaptureFixture) -> None:
    network, trigger = random_network((60, 7, 5), seed=3), RunTrigger()
    compiled, _code, _reason = inspection.compile_for(network, None)
    with caplog.at_level(logging.INFO, "ebpfnn"):
        found = inspection.run_in_kernel(network, compiled, trigger)
        with Session(network, TracepointTrigger(), body=compiled):
            pass
    told = [record.getMessage() for record in caplog.records if "verified instructions" in record.getMessage()]
    what = f"(trigger '{{}}' with network '{network.name}') loaded in "
    assert what.format("run") in told[0]
    assert told[0].endswith(f"; verified instructions: {found.verified:,}")
    assert what.format("tracepoint") in told[-1]
    assert not told[-1].endswith(f": {found.verified:,}")
