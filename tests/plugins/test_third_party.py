"""The plugin of docs/plugins.md, installed as somebody else's distribution and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "plugins.md"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the guide's input source is installed, beside the plugins of this checkout."""
    site = tmp_path / "site"
    info = site / "noise_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "noise_plugin.py").write_text(GUIDE.read_text().split("```python\n")[1].split("```")[0])
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noise-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ebpfnn]\nnoise = noise_plugin\n")
    ours = site / "ebpfnn-0.dist-info"
    ours.mkdir()
    (ours / "METADATA").write_text("Metadata-Version: 2.1\nName: ebpfnn\nVersion: 0\n")
    points = (ROOT / "setup.cfg").read_text().split("\nebpfnn =\n    ")[-1].split("\n\n")[0]
    (ours / "entry_points.txt").write_text("[ebpfnn]\n" + points.replace("    ", "") + "\n")
    path = os.pathsep.join([str(site), str(ROOT), str(ROOT / "plugins"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def ebpfnn(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ebpfnn", *arguments], env=environment, capture_output=True, text=True)


def test_it_is_listed_with_where_it_comes_from(installed: dict[str, str]) -> None:
    ran = ebpfnn(installed, "plugins", "--json")
    assert ran.returncode == 0, ran.stderr
    assert '"noise"' in ran.stdout
    assert "noise-plugin 1.0" in ran.stdout


def test_it_can_be_left_out(installed: dict[str, str]) -> None:
    assert '"noise"' not in ebpfnn({**installed, "EBPFNN_DISABLE": "noise"}, "plugins", "--json").stdout


@pytest.mark.root
def test_it_feeds_a_network_in_the_kernel(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.noise").write_text("7")
    (tmp_path / "b.noise").write_text("seven")
    names = [str(tmp_path / name) for name in ("b.noise", "a.noise")]
    ran = ebpfnn(installed, "infer", "--trigger", "run", "--json", "--check", *names)
    assert ran.stderr == f"ebpfnn: {names[0]}: not a seed; write a number into it\n"
    result = json.loads(ran.stdout)
    assert (result["source"], result["notes"], result["check"]) == (names[1], ["uniform noise"], True)
    assert ran.returncode == 1
