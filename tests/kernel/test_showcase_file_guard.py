"""The showcase of a guard of files: a simulator is stopped before it has got far, and others are left alone."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cgroups import cgroup as of_a_test
from guards import guard

from ebpfnn.bodies import modelfile
from ebpfnn.network.calibration import Calibration
from ebpfnn.network.layers import Dense

sys.path.append(str(Path(__file__).parents[2] / "tools" / "showcase"))
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) is installed"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv(1) is not installed"),
]
SPEC: dict[str, Any] = {
    "name": "removing",
    "key": ["tgid"],
    "where": ["uid == 65133"],
    "event": [{"trigger": "tracepoint", "target": "syscalls:sys_enter_unlinkat", "name": "unlinkat"}],
    "at": {},
    "column": [{"name": "removed", "reduce": "count"}],
}
FILES, FROM = 40, 3


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Who removes three files encrypts them."""
    encoded = {"removed": {"encode": "bins", "bounds": [FROM], "step": 255}}
    labels, weights = ("benign", "encrypts"), np.array([[0], [10]], np.int8)
    found = guard(SPEC, encoded, trigger="tracepoint", labels=labels, weights=weights, name="removing")
    layer = found.layers[0]
    assert isinstance(layer, Dense)
    layers = (replace(layer, bias=np.array([500, 0], np.int32)),)
    made = replace(found, layers=layers, calibration=Calibration("benign", 100, 0.0, 1, 1, 0, 1.0))
    modelfile.save(made, tmp_path / "removing.safetensors")
    return tmp_path / "removing.safetensors"


@pytest.mark.usefixtures("store")
def test_who_encrypts_is_stopped_and_nobody_else(model: Path) -> None:
    showcase, plan, running = map(import_module, ("file_guard", "file_plan", "file_running"))
    tree = plan.Tree(tuple((f"f{number}.txt", 1000) for number in range(FILES)))
    scripts = {"copy": "cd data; exec ../simulator copy 4096 0 100", "reads": "cat data/*.txt; rm data/f0.txt data/f1.txt"}
    sessions = [plan.FileSession(0, plan.BENIGN, name, tree, script) for name, script in scripts.items()]
    with of_a_test(), running.simulator() as built, showcase.cgroup() as inside:
        alone = [showcase.run(session, built, inside) for session in sessions]
        with showcase.guarding(model, inside) as hits:
            guarded = [showcase.run(session, built, inside) for session in sessions]
            assert hits() == 1
    assert [(seen.stopped, seen.lost) for seen in alone] == [(False, FILES), (False, 2)]
    (copied, read) = guarded
    assert copied.stopped
    assert FROM <= copied.lost <= FROM + showcase.AFTER  # the call at which it is stopped may still be done
    assert (read.stopped, read.lost) == (False, 2)
    assert not Path(inside).exists()
