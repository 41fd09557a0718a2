"""The commands of docs/guards.md: from rows to a guard that drops packets."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guards.md"
ALONE = "mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns"
"""The names of network namespaces are those of this shell alone."""
ROW = re.compile(r"^scan +([\d,]+) +([\d,]+) ", re.MULTILINE)


def commands() -> list[str]:
    text = GUIDE.read_text().partition("## From rows to a guard\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0].splitlines()


@pytest.mark.root
@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="training trees needs scikit-learn")
def test_the_guard_audits_and_then_acts(tmp_path: Path, bpffs: Path) -> None:
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("iproute2 (ip) or util-linux (unshare) is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    (programs / "ebpfnn").symlink_to(Path(sys.executable).parent / "ebpfnn")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "EBPFNN_BPFFS": str(bpffs)}
    script = "\n".join([ALONE, *commands()])
    ran = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-e"],
        cwd=tmp_path,
        env=environment,
        input=script,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "guard: drop, audit, acts on nothing" in ran.stdout
    assert re.search(
        r"^1 +[\d:.]+ +(?:audited|capped) +scan +[\d,]+ +source=10\.77\.0\.\d+ +\d+ +0$", ran.stdout, re.MULTILINE
    ), ran.stdout
    assert re.search(r"^guard: case 1, .*\nscan by [\d,]+; it counts: .*\npath: \w+ ", ran.stdout, re.MULTILINE), ran.stdout
    audited, enforced = ROW.findall(ran.stdout)
    acted, would = (int(number.replace(",", "")) for number in audited)
    assert acted == 0 < would, ran.stdout
    assert int(enforced[0].replace(",", "")) > 0, ran.stdout
    assert "guard: enforcing for " in ran.stdout
    assert "paused" in ran.stdout
