"""The commands of docs/operations.md: a guard is rolled out, stopped, upgraded and rolled back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from guards import FLOW, guard

from ebpfnn.bodies import modelfile
from ebpfnn.network.calibration import Calibration
from ebpfnn.network.layers import Dense

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text()
PARTS = ("Roll out in five steps", "Stop it", "Upgrade and roll back")
ALONE = "mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && python3 examples/lab.py up"
SPEC = {
    **FLOW,
    "event": [{"trigger": "tc"}],
    "where": ["version == 4", "protocol == 6"],
    "column": [{"name": "length", "reduce": "last", "of": "network_length"}],
    "at": {},
}
LENGTH = {"length": {"encode": "bins", "bounds": [20, 30], "step": 100}}


def blocks(part: str) -> list[str]:
    text = TEXT.partition(f"## {part}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def save(path: Path, bias: int) -> None:
    """A model that calls every TCP packet one of a scan: training is what the guide of guards is tested for."""
    made = guard(SPEC, LENGTH, trigger="tc", labels=("benign", "scan"), weights=np.array([[0], [10]], np.int8))
    layer = made.layers[0]
    assert isinstance(layer, Dense)
    made = replace(made, layers=(replace(layer, bias=np.array([bias, 0], np.int32)),))
    modelfile.save(replace(made, calibration=Calibration("benign", 500, 0.01, 1000, 4, 3, 0.008)), path)


@pytest.mark.root
def test_a_guard_comes_into_service_and_out_of_it(tmp_path: Path, bpffs: Path) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("iproute2 (ip) or util-linux (unshare) is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    (programs / "ebpfnn").symlink_to(Path(sys.executable).parent / "ebpfnn")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    save(tmp_path / "guard-1.safetensors", 500)
    save(tmp_path / "guard-2.safetensors", 400)
    parts = [f"echo '=== {part}'\n{block}" for part in PARTS for block in blocks(part)]
    assert len(parts) == 5
    ran = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-e"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "EBPFNN_BPFFS": str(bpffs)},
        input="\n".join([ALONE, *parts, "ebpfnn list"]),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    _, audit, enforced, permanent, stopped, upgraded = ran.stdout.split("===")
    assert audit.count("guard: load (not loaded)\n") == 2  # as a dry run, and done
    assert re.search(r"^scan +0 +[1-9]", audit, re.MULTILINE), audit
    assert re.search(r'^ebpfnn_guard_events_total\{label="scan",name="guard",reason="audited"\} [1-9]', audit, re.MULTILINE)
    assert "guard: enforce (for 10m)\n" in enforced
    assert "guard: drop, enforcing for " in enforced
    assert re.search(r"^scan +[1-9]", enforced, re.MULTILINE), enforced
    assert permanent.endswith("guard: enforce (without a deadline)\nnothing to do\n")
    told = ["guard: enforcing, paused", "guard: enforcing", "guard: audit, acts on nothing"]
    assert stopped.splitlines()[1:] == [*told, "guard: unload (asked for)"]
    steps = ["load (not loaded)", "enforce (without a deadline)", "swap (another model)", "swap (another model)"]
    expected = [*(f"guard: {step}" for step in steps), "guard: unload (asked for)"]
    assert upgraded.splitlines()[1:] == [*expected, "no networks are loaded; load one with `ebpfnn load`"]


def test_the_exposure_of_units_is_what_systemd_counts() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    told = dict(re.findall(r"^\| `(ebpfnn[\w@-]*?@?)(?:NAME)?` \|.*\| ([\d.]+) \|$", TEXT, re.MULTILINE))
    assert len(told) == 3
    if "systemd 252" not in subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True).stdout:
        pytest.skip("systemd is not 252, whose figures the guide has")
    for name, exposure in told.items():
        unit = ROOT / "ebpfnn" / "data" / "systemd" / f"{name}.service"
        command = ["systemd-analyze", "security", "--offline=true", "--no-pager", unit]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert f": {exposure} " in ran.stdout.splitlines()[-1], ran.stdout + ran.stderr
